"""Runs Presidio on the data of classify_data.py, for a comparison in one run.

A column gets the tag of most of its values, where at least half of them have one: so Presidio's own tool for tables does
it. Usage: classify_presidio.py DIRECTORY MODEL
"""

import json
import sys
import time
from collections import Counter

import spacy
import tldextract
import tldextract.tldextract
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine

VALUES = 6
TEXTS = 250
EVERY = 5
TAGS = {
    "EMAIL_ADDRESS": "pii.email", "PHONE_NUMBER": "pii.phone", "CREDIT_CARD": "payment.card", "IBAN_CODE": "payment.iban",
    "US_BANK_NUMBER": "payment.bank_account", "ABA_ROUTING_NUMBER": "payment.bank_account", "IP_ADDRESS": "pii.ip",
    "MAC_ADDRESS": "pii.mac", "US_SSN": "pii.national_id", "US_ITIN": "pii.national_id", "US_PASSPORT": "pii.national_id",
    "US_DRIVER_LICENSE": "pii.national_id", "UK_NINO": "pii.national_id", "UK_NHS": "health.record",
    "MEDICAL_LICENSE": "health.record", "PERSON": "pii.name", "LOCATION": "pii.address",
}


class Loaded(SpacyNlpEngine):
    """A model that is loaded already."""

    def __init__(self, model):
        super().__init__(ner_model_configuration=NerModelConfiguration())
        self.nlp = {"en": model}


def main():
    directory, name = sys.argv[1], sys.argv[2]
    # The list of top-level domains that comes with the package: no look-ups on the network while measuring.
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())
    model = spacy.blank("en") if name == "blank" else __import__(name).load()
    analyzer = AnalyzerEngine(nlp_engine=Loaded(model), supported_languages=["en"])
    spent, size = 0.0, 0

    def tag(text):
        nonlocal spent, size
        start = time.thread_time()
        found = analyzer.analyze(text, language="en", score_threshold=0.35)
        spent += time.thread_time() - start
        size += len(text.encode())
        found = [f for f in found if f.entity_type not in ("URL", "DATE_TIME", "NRP", "ORGANIZATION")]
        best = max(found, key=lambda f: f.score, default=None)
        return best and TAGS.get(best.entity_type, "pii.national_id")

    scores = {}

    def count(group, expected, given):
        right, wrong, missed, seen, false = scores.get(group, (0, 0, 0, 0, 0))
        hit = expected is not None and expected == given
        scores[group] = (right + hit, wrong + (given is not None and not hit), missed + (expected is not None and not hit),
                         seen + 1, false + (expected is None and given is not None))

    cells = 0
    with open(f"{directory}/columns.jsonl", encoding="utf-8") as lines:
        columns = [(t["naming"], c) for t in map(json.loads, lines) for c in t["columns"]]
    for naming, column in columns[::EVERY]:
        if naming != "neutral" or column["group"] == "person" or column["type"] in ("bool", "timestamptz", "date"):
            continue
        given = [tag(v) for v in column["values"][:VALUES]]
        common, times = Counter(given).most_common(1)[0]
        count("columns, neutral names", column["label"], common if times * 2 >= VALUES else None)
        if column["label"] is None:
            cells += VALUES
            count("look-alike cells", None, None)
            for one in given:
                count("cells", None, one)
    with open(f"{directory}/texts.jsonl", encoding="utf-8") as lines:
        texts = [json.loads(line) for line in lines]
    for text in texts[:: max(1, len(texts) // TEXTS)]:
        count("texts", text["label"], tag(text["text"]))

    print("| Presidio on | number | precision | recall | F1 |\n|---|---|---|---|---|")
    for group in ("columns, neutral names", "texts"):
        right, wrong, missed, seen, _ = scores[group]
        precision = right / (right + wrong) if right + wrong else 1.0
        recall = right / (right + missed) if right + missed else 1.0
        print(f"| {group} | {seen} | {precision:.3f} | {recall:.3f} | {2 * right / (2 * right + wrong + missed):.3f} |")
    false = scores.get("cells", (0,) * 5)[4]
    print(f"\nOf {cells} look-alike cells, {false} were masked: {false * 1e4 / max(cells, 1):.0f} of 10,000.")
    print(f"{size} bytes in {spent:.1f} s of processor time: {size / 1e6 / spent:.3f} MB/s.")


if __name__ == "__main__":
    main()
