"""The stages that Python fills in are laid out as C++ reads them."""

import ctypes
import re

from strategies.models.kernels.native.stages import SOURCE, Stage

TYPES = {"int64_t": ctypes.c_int64, "int32_t": ctypes.c_int32, "float": ctypes.c_float}


def test_a_stage_has_the_fields_of_the_struct_in_its_order():
    (struct,) = re.findall(r"struct Stage \{(.*?)\n\};", SOURCE.read_text(), re.DOTALL)
    fields = []
    for kind, names in re.findall(r"(?:const )?(\w+) ([^;]+);", re.sub(r"//.*", "", struct)):
        for name in names.split(","):
            pointer, plain = "*" in name, name.replace("*", "").strip()
            fields.append((plain, ctypes.c_void_p if pointer else TYPES[kind]))
    assert fields == list(Stage._fields_)
