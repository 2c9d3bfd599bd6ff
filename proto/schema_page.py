"""The reference page of the schema, as Markdown and as HTML: for people who connect a case system, and for whoever asks
what is said about a child, to whom."""

import html
import re

COLUMNS = ["No.", "Field", "Type", "Rule", "Personal", "Meaning"]
CODE_COLUMNS = ["No.", "Code", "Meaning"]
TEXT_FORM = "TEXT_FORM_"
NOT_SENT = "not by itself"
INTRO = (
    "Made from the comments and rules in proto/kinward/v1 by the build; nobody edits this page. A field says what it means, "
    "which rule the validator (proto/wire/validate.c) holds it to, and whether it is personal: says something about a person, "
    "or who writes to whom. What is personal travels sealed only, and never stands in a header, a log, a metric or a page.")
NOTES = [
    "A field of the value 0, false or no bytes is absent. \"Required\" forbids that; of a choice (`oneof`) it says that one "
    "member must be set.",
    "Sizes of text are bytes of UTF-8. A line has no control characters; lines may have line feeds.",
    "An unknown code is refused and never read as another. Code 0 is never sent: it means that the field is absent.",
    "In JSON, names are in lowerCamelCase, codes by name, 64-bit numbers as strings, bytes as base64. `kinward validate FILE` "
    "checks a file against these rules.",
]


# A mark is a sentence of its own, or the head of one: "Personal.", "Personal: it can be a disclosure."
PERSONAL_MARK = re.compile(r"(?:^|[.;:] )Personal\b(?! as a whole)")


def is_personal(field):
    """By its rule; by its comment where the validator has no rule for it."""
    return field.rule["personal"] if field.rule is not None else bool(PERSONAL_MARK.search(field.comment))


def anchor(name):
    return name.lower().replace(".", "").replace(" ", "-")


class Link:
    """A word that leads to a section."""

    def __init__(self, name):
        self.name = name


class Code:
    """A word as it is written in a message."""

    def __init__(self, text):
        self.text = text


class Markdown:
    def __init__(self):
        self.out = []

    @staticmethod
    def inline(parts):
        said = []
        for part in parts if isinstance(parts, list) else [parts]:
            if isinstance(part, Link):
                said.append("[%s](#%s)" % (part.name, anchor(part.name)))
            elif isinstance(part, Code):
                said.append("`%s`" % part.text)
            else:
                said.append(part.replace("|", "\\|").replace("<", "&lt;"))
        return "".join(said)

    def heading(self, level, text):
        self.out.append("%s %s\n" % ("#" * level, text))

    def paragraph(self, parts):
        self.out.append(self.inline(parts) + "\n")

    def bullets(self, items):
        self.out.append("".join("- %s\n" % self.inline(item) for item in items))

    def table(self, head, rows):
        lines = ["| %s |" % " | ".join(head), "|%s" % ("---|" * len(head))]
        lines += ["| %s |" % " | ".join(self.inline(cell) for cell in row) for row in rows]
        self.out.append("\n".join(lines) + "\n")

    def text(self):
        return "\n".join(self.out)


STYLE = """body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#1a1a1a;background:#fff}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}th,td{border:1px solid #bbb;padding:.25rem .5rem;text-align:left;
vertical-align:top}th{background:#eee}code{font-size:.9em}h2{border-bottom:2px solid #333;margin-top:3rem}
@media (prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}th{background:#2a2a2a}th,td{border-color:#555}a{color:#8ab4f8}}"""


class Html:
    """One file without a script or anything from elsewhere."""

    def __init__(self, title):
        self.out = ["<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
                    "content=\"width=device-width\"><title>%s</title><style>%s</style></head><body>" % (html.escape(title), STYLE)]

    @staticmethod
    def inline(parts):
        said = []
        for part in parts if isinstance(parts, list) else [parts]:
            if isinstance(part, Link):
                said.append("<a href=\"#%s\">%s</a>" % (anchor(part.name), html.escape(part.name)))
            elif isinstance(part, Code):
                said.append("<code>%s</code>" % html.escape(part.text))
            else:
                pieces = part.split("`")
                said += [html.escape(piece) if index % 2 == 0 else "<code>%s</code>" % html.escape(piece)
                         for index, piece in enumerate(pieces)]
        return "".join(said)

    def heading(self, level, text):
        self.out.append("<h%d id=\"%s\">%s</h%d>" % (level, anchor(text), html.escape(text), level))

    def paragraph(self, parts):
        self.out.append("<p>%s</p>" % self.inline(parts))

    def bullets(self, items):
        self.out.append("<ul>%s</ul>" % "".join("<li>%s</li>" % self.inline(item) for item in items))

    def table(self, head, rows):
        lines = ["<table><thead><tr>%s</tr></thead><tbody>" % "".join("<th>%s</th>" % html.escape(cell) for cell in head)]
        lines += ["<tr>%s</tr>" % "".join("<td>%s</td>" % self.inline(cell) for cell in row) for row in rows]
        self.out.append("\n".join(lines) + "</tbody></table>")

    def text(self):
        return "\n".join(self.out) + "\n</body></html>\n"


def span(low, high, unit):
    count = "%d" % low if low == high else "%d..%d" % (low, high)
    return "%s %s" % (count, unit) if unit else count


class Page:
    def __init__(self, schema, ways):
        self.schema, self.ways = schema, ways
        self.forms = {code.name: code.comment for code in schema.enums["TextForm"].codes}

    def markdown(self):
        return self._write(Markdown())

    def html(self):
        return self._write(Html("Kinward's messages"))

    def _write(self, out):
        out.heading(1, "Kinward's messages")
        out.paragraph(INTRO)
        out.bullets(NOTES)
        self._sealed(out)
        self._travel(out)
        for file in self.schema.files:
            if file.path.endswith("/options.proto"):
                continue
            out.heading(2, file.path)
            if file.head:
                out.paragraph(" ".join(file.head.split()))
            for message in file.messages:
                self._message(out, message)
            for enum in file.enums:
                self._enum(out, enum)
        return out.text()

    def _sealed(self, out):
        out.heading(2, "What agencies say to each other")
        out.paragraph(["Each is one body of ", Link("Content"), ", and travels sealed: no hub can read it."])
        out.table(["No.", "Body", "Message", "Personal", "Meaning"], [
            [str(field.number), Code(field.name), Link(field.type.name) if field.type else field.kind,
             self._personal(field), field.comment]
            for field in self.schema.messages["Content"].fields if field.oneof is not None])

    def _travel(self, out):
        out.heading(2, "How each message travels")
        names = [message.name for file in self.schema.files if not file.path.endswith("/options.proto")
                 for message in file.messages]
        out.table(["Message", "File", "Travels"], [
            [Link(name), self.schema.messages[name].file.path, "; ".join(self.ways[name]) or NOT_SENT] for name in names])

    def _message(self, out, message):
        out.heading(3, message.name)
        out.paragraph(message.comment)
        out.paragraph("Travels: %s." % ("; ".join(self.ways[message.name]) or NOT_SENT))
        for oneof in message.oneofs:
            out.paragraph(["Choice ", Code(oneof.name), ": ", oneof.comment or "at most one of its members is set."])
        if message.across:
            out.paragraph("The validator also checks what holds across its fields; their meanings say what.")
        if message.fields:
            out.table(COLUMNS, [self._field(field) for field in message.fields])

    def _field(self, field):
        kind = Link(field.type.name) if field.type is not None else field.kind
        return [str(field.number), Code(field.name), [kind, ", repeated"] if field.repeated else kind, self._rule(field),
                self._personal(field), field.comment]

    @staticmethod
    def _personal(field):
        return "personal" if is_personal(field) else ""

    def _rule(self, field):
        said = []
        rule = field.rule
        if field.oneof is not None:
            said.append("one of `%s`" % field.oneof.name)
        if rule is None:
            return ", ".join(said)
        if rule["required"]:
            said.append("one is required" if field.oneof is not None else "required")
        if field.repeated:
            said.append(span(1 if rule["required"] else 0, rule["count_max"], "times"))
        if field.kind == "string":
            form = rule["text"][len(TEXT_FORM):]
            if rule["max"] > 0:
                said.append(span(max(rule["min"], 1), rule["max"], "bytes"))
            said.append({"UNSPECIFIED": "a line", "LINES": "lines"}.get(form) or self._form(rule["text"]))
        elif field.kind == "bytes":
            said.append(span(max(rule["min"], 1), rule["max"], "bytes"))
        elif field.kind == "uint32":
            said.append(span(rule["min"], rule["max"], ""))
        elif rule["time"] and rule["back_days"] > 0:
            said.append("time, at most %d days before the message" % rule["back_days"])
        elif rule["time"]:
            said.append("milliseconds since 1970, before the year 10000")
        elif rule["past"]:
            said.append("not after the day of the message")
        elif field.kind == "enum":
            least = [code.name for code in field.type.codes if code.number == rule["min"]] if rule["min"] > 0 else []
            said.append("one of its codes" + (", %s or later" % least[0] if least else ""))
        return ", ".join(said)

    def _form(self, name):
        text = self.forms[name].rstrip(".")
        return text[0].lower() + text[1:] if text[1:2].islower() else text

    def _enum(self, out, enum):
        out.heading(3, enum.name)
        out.paragraph(enum.comment)
        out.table(CODE_COLUMNS, [[str(code.number), Code(code.name), code.comment] for code in enum.codes])
