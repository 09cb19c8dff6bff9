#!/usr/bin/env bash
# What the CUDA path does on one GPU, within 8 minutes: `make gpu-check`, or this script, from anywhere.
#
# The most valuable steps come first. Each has a time limit, a step that fails does not keep the next from running, and
# what there is no time left for is left out. Exit status: 0 if every step that ran was good, else 1. At most 8 files
# are written, of which summary.txt says which wanted figure was reached; docs/gpu.md says what the others are.
#
#   PYTHON=python3            the interpreter: it must have torch. Nothing is installed, and no environment is made
#   WHEELS=DIR                wheels of the packages that it lacks, installed into SITE first, without a network
#   SITE=DIR                  where they are installed, and looked for (default: within WORK)
#   OUT=results/gpu-check     where the files are written; like every path here, from the root of the repository
#   WORK=DIR                  runs and caches of compilers (default: a temporary folder)
#   TOTAL=450 SCALE=1         seconds for all steps; every limit is multiplied by SCALE
#   ONLY="info tests"         the steps to run, after WHEELS are installed; SKIP="xl profile": the steps to leave out
#   DEVICE=cpu                a dry run with a tiny model, without a GPU: every step runs, and no figure means anything
#   MODEL LARGE XL            models of conf/model/ (small, large, xl; all tiny with DEVICE=cpu)
#   LENS MID SHORT            lengths: of the sweeps (empty: those of +sweep=seq_len), of most steps, of the last ones
#   SRC_LEN                   length of the sources of the step beams
#   PLAN=1                    print the steps, one a line (name, limit, command), and run nothing
set -u
cd "$(dirname "$0")/../.." || exit 1
DEVICE=${DEVICE:-cuda} PYTHON=${PYTHON:-python3} PLAN=${PLAN:-} WHEELS=${WHEELS:-}
refuse() { # refuse TEXT: a wrong variable is told at once, and not after minutes on a GPU
  echo "gpu-check: $1" >&2
  exit 1
}
case $DEVICE in cuda | cpu) ;; *) refuse "DEVICE=$DEVICE is not allowed; give cuda or cpu" ;; esac
for name in TOTAL SCALE; do
  [[ ${!name:-1} =~ ^[1-9][0-9]*$ ]] || refuse "$name=${!name} is not allowed; give a whole number of at least 1"
done
if [ "$DEVICE" = cpu ]; then
  MODEL=${MODEL:-tiny} LARGE=${LARGE:-tiny} XL=${XL:-tiny} LENS=${LENS:-4,8} MID=${MID:-8} SHORT=${SHORT:-4}
  SRC_LEN=${SRC_LEN:-16}
  SCALE=${SCALE:-5} TOTAL=${TOTAL:-2400}
  captured=() peer_dtype=fp32 # nothing is captured without a GPU, and contenders decode in float32 there
  export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
else
  MODEL=${MODEL:-small} LARGE=${LARGE:-large} XL=${XL:-xl} LENS=${LENS:-} MID=${MID:-64} SHORT=${SHORT:-16}
  SRC_LEN=${SRC_LEN:-512}
  SCALE=${SCALE:-1} TOTAL=${TOTAL:-450}
  captured=(execution=graph) peer_dtype=bf16
fi
several=() # tests compile and start processes: with pytest-xdist, files are tested beside one another
if [ "$DEVICE" = cuda ] && "$PYTHON" -c 'import xdist' >/dev/null 2>&1; then several=(-n 8 --dist loadfile); fi
[ -n "$PLAN" ] && WORK=${WORK:-/tmp/gpu-check}
WORK=${WORK:-$(mktemp -d)} OUT=${OUT:-results/gpu-check}
SITE=${SITE:-$WORK/site} RUNS=$WORK/gpu_runs START=$SECONDS FAILED=0
LOG=$OUT/log.txt STEPS=$RUNS/steps.tsv FIGURES=$RUNS/figures.jsonl
if [ -z "$PLAN" ]; then
  known=" install $(PLAN=1 bash tests/gpu_check/run.sh | cut -f1 | tr '\n' ' ') "
  for name in ${ONLY:-} ${SKIP:-}; do
    case $known in *" $name "*) ;; *) refuse "there is no step $name; PLAN=1 prints the steps" ;; esac
  done
  command -v "$PYTHON" >/dev/null || refuse "PYTHON=$PYTHON is no command; give a Python that has torch"
  if [ -n "$WHEELS" ] && ! compgen -G "$WHEELS/*.whl" >/dev/null; then
    refuse "WHEELS=$WHEELS is no folder with wheels in it; docs/gpu.md says how to collect them"
  fi
  { mkdir -p "$OUT" "$RUNS" && : >"$LOG" && : >"$STEPS"; } 2>/dev/null ||
    refuse "cannot write into OUT=$OUT or WORK=$WORK; give folders that can be written"
fi
export PYTHONUNBUFFERED=1 NO_COLOR=1 COLUMNS=160 PYTHONPATH="$SITE:$PWD${PYTHONPATH:+:$PYTHONPATH}"
export TORCHINDUCTOR_CACHE_DIR=$WORK/inductor TRITON_CACHE_DIR=$WORK/triton

step() { # step NAME SECONDS COMMAND...
  local name=$1 limit=$(($2 * SCALE)) left=$((TOTAL - SECONDS + START)) at=$SECONDS code
  shift 2
  if [ -n "$PLAN" ]; then
    printf '%s\t%s\t' "$name" "$limit"
    printf '%q ' "$@"
    printf '\n'
    return
  fi
  case " ${SKIP:-} " in *" $name "*) return ;; esac
  [ -n "${ONLY:-}" ] && case " install $ONLY " in *" $name "*) ;; *) return ;; esac
  if [ "$left" -lt 12 ]; then
    echo "== $name: no time left" | tee -a "$LOG"
    printf '%s\tno time left\t0\t%s\n' "$name" "$limit" >>"$STEPS"
    return
  fi
  [ "$limit" -gt "$left" ] && limit=$left
  echo "== $name (at $((at - START)) s, limit $limit s): $*" | cut -c1-300 | tee -a "$LOG"
  timeout -s INT -k 8 "$limit" "$@" >"$WORK/step.txt" 2>&1 # an interrupt, so that the step tells what it found so far
  code=$?
  tr '\r' '\n' <"$WORK/step.txt" | tail -c 60000 >>"$LOG"
  tr '\r' '\n' <"$WORK/step.txt" | tail -n "${TAIL:-12}" | cut -c1-300
  echo "-- $name: exit $code after $((SECONDS - at)) s" | tee -a "$LOG"
  printf '%s\t%s\t%s\t%s\n' "$name" "$code" "$((SECONDS - at))" "$limit" >>"$STEPS"
  [ "$code" -eq 0 ] || FAILED=1
}
run() { # run NAME SECONDS KEY=VALUE...: a measured run in a folder of that name, without a page, which can be made later
  local name=$1 limit=$2
  shift 2
  step "$name" "$limit" "$PYTHON" -m suites run "device=$DEVICE" measure=quick report=false "hydra.run.dir=$RUNS/$name" "$@"
}
collect() { # write what there is so far, in case that the machine is taken away
  [ -n "$PLAN" ] && return
  "$PYTHON" -m tests.gpu_check.summary "$RUNS" "$OUT" >"$WORK/summary.txt" 2>&1
  local code=$?
  [ "$code" -eq 0 ] || { FAILED=1 && tee -a "$LOG" <"$WORK/summary.txt"; }
  tar czf "$OUT/runs.tar.gz" -C "$WORK" --exclude='*.trace.json' gpu_runs 2>>"$LOG" || FAILED=1
}

[ -n "$WHEELS" ] && step install 60 "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir \
  --disable-pip-version-check --upgrade --target "$SITE" "$WHEELS"/*.whl
TAIL=40 step info 60 "$PYTHON" -m tests.gpu_check.info "$DEVICE"
# shellcheck disable=SC2046  # names of files without spaces; the options of the project's pytest need plugins
TAIL=25 step tests 120 "$PYTHON" -m pytest -q -p no:cacheprovider -o addopts= -W default -m cuda --durations=5 --tb=short \
  "${several[@]}" $(grep -rlE 'mark\.cuda' tests --include='test_*.py' | LC_ALL=C sort)
sweep=(+sweep=seq_len ${LENS:+"seq_len=$LENS"})
run bf16 110 "model=$MODEL" dtype=bf16 "${captured[@]}" "${sweep[@]}"
collect
TAIL=20 step direct 60 "$PYTHON" -m tests.gpu_check.direct "$DEVICE" "$MID" "$FIGURES" "$MODEL" "$LARGE"
run large 75 "model=$LARGE" dtype=bf16 "${captured[@]}" "strategies=[static_kv]" "seq_len=$MID"
run xl 120 "model=$XL" dtype=bf16 "${captured[@]}" "strategies=[static_kv]" "seq_len=$MID"
collect
run peers 100 "model=$MODEL" "dtype=$peer_dtype" "${captured[@]}" "strategies=[static_kv]" \
  "contenders=[transformers_dynamic,transformers_static_compiled]" "seq_len=$MID"
collect
arms=static_kv
for option in cross_beams=expanded_once cross_beams=expanded reorder=table; do arms+=",'static_kv($option)'"; done
run beams 70 "model=$MODEL" dtype=bf16 "${captured[@]}" search=beam batch_size=8 "src_len=$SRC_LEN" "tgt_len=$SHORT" \
  "strategies=[$arms,contiguous_kv]" plots=false
lossy="'quantized_kv(bits=8)','quantized_kv(bits=4)','sliding_kv(window=64)',pruned_cross_kv"
run approximate 90 model=pronounce dtype=fp32 "${captured[@]}" "strategies=[static_kv,$lossy,paged_kv]" "seq_len=$MID"
run compiled 110 "model=$MODEL" dtype=bf16 execution=compiled "strategies=[contiguous_kv,static_kv]" "seq_len=$MID"
step roofline 30 "$PYTHON" -m suites roofline "device=$DEVICE" "hydra.run.dir=$RUNS/roofline" --rounds 10
run fp32 80 "model=$MODEL" dtype=fp32 "${captured[@]}" "${sweep[@]}" plots=false
collect
run batch32 45 "model=$MODEL" dtype=bf16 "${captured[@]}" batch_size=32 "seq_len=$MID" plots=false
TAIL=40 step profile 50 "$PYTHON" -m suites profile "device=$DEVICE" "model=$MODEL" dtype=bf16 \
  "strategies=[full_recompute,static_kv]" "seq_len=$MID" "hydra.run.dir=$RUNS/profile"
TAIL=40 step attention 40 "$PYTHON" -m tests.gpu_check.attention "$DEVICE"
for kernel in cudnn math; do # cuDNN's is on CUDA alone
  [ "$kernel $DEVICE" = "cudnn cpu" ] || run "attention_$kernel" 40 "model=$MODEL" dtype=bf16 "${captured[@]}" \
    "attention=$kernel" "strategies=[static_kv]" "seq_len=$SHORT" plots=false
done
run compiled_fp32 110 "model=$MODEL" dtype=fp32 execution=compiled "strategies=[contiguous_kv,static_kv]" "seq_len=$MID" \
  plots=false
run weights 80 "model=$MODEL" weights=bf16,int8 "strategies=[static_kv]" "seq_len=$SHORT" plots=false
[ -n "$PLAN" ] && exit 0
collect
tee -a "$LOG" <"$OUT/summary.txt"
echo "total $((SECONDS - START)) s; in $OUT:" $(ls "$OUT")
exit "$FAILED"
