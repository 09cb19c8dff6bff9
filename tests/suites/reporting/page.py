"""A page as a test reads it, without a browser."""

import json
from html.parser import HTMLParser


class Page(HTMLParser):
    """Elements with an id, scripts by id or type, every link and checkbox, and the text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.ids, self.links, self.scripts, self.images, self.words, self.meta, self.boxes = [], [], [], [], [], {}, []
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        self.images += [given] if tag == "img" else []
        self.boxes += [given.get("value")] if given.get("type") == "checkbox" else []
        if tag == "script":
            self._script = True
            self.scripts.append([given, ""])
        if tag == "meta" and "http-equiv" in given:
            self.meta[given["http-equiv"]] = given["content"]

    def handle_endtag(self, tag):
        self._script = self._script and tag != "script"

    def handle_data(self, data):
        if self._script:
            self.scripts[-1][1] += data
        else:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def data(self, name):
        """What the JSON of an element holds."""
        return next(json.loads(text) for given, text in self.scripts if given.get("id") == name)

    def specs(self):
        return {given["id"]: json.loads(text) for given, text in self.scripts if given.get("id", "").endswith("-spec")}
