"""Runs a test suite that a client's package brings, and prints as JSON what became of each test.

    python suite.py FOLDER TOP_LEVEL_FOLDER
"""

import json
import os
import sys
import traceback
import unittest


class Record(unittest.TestResult):
    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []
        self.failed: dict[str, str] = {}
        self.skipped_tests: dict[str, str] = {}

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.ran.append(test.id())

    def fail(self, test: unittest.TestCase, error: tuple) -> None:
        self.failed[test.id()] = "".join(traceback.format_exception(*error))[-3000:]

    def addError(self, test: unittest.TestCase, error: tuple, details: object = None) -> None:
        self.fail(test, error or (None, AssertionError(str(details)), None))

    def addFailure(self, test: unittest.TestCase, error: tuple, details: object = None) -> None:
        self.fail(test, error or (None, AssertionError(str(details)), None))

    def addSkip(self, test: unittest.TestCase, reason: str = "", details: object = None) -> None:
        self.skipped_tests[test.id()] = reason or str(details)


def main() -> None:
    folder, top = sys.argv[1:]
    # What tests print would be taken for the answer.
    answer, sys.stdout = sys.stdout, open(os.devnull, "w")
    record = Record()
    unittest.defaultTestLoader.discover(folder, top_level_dir=top).run(record)
    json.dump({"ran": record.ran, "failed": record.failed, "skipped": record.skipped_tests}, answer)


main()
