"""docs/api.md names every method, property and code that the headers have."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs/api.md").read_text(encoding="utf-8")
FACADE = ROOT / "api/facade/include/lanward"
PUBLIC = ROOT / "engine/include/lanward"

# The published enumeration DODownloadProperty.
PUBLISHED_PROPERTIES = """Id Uri ContentId DisplayName LocalPath HttpCustomHeaders CostPolicy
    SecurityFlags CallbackFreqPercent CallbackFreqSeconds NoProgressTimeoutSeconds
    ForegroundPriority BlockingMode CallbackInterface StreamInterface SecurityContext NetworkToken
    CorrelationVector DecryptionInfo IntegrityCheckInfo IntegrityCheckMandatory TotalSizeBytes
    DisallowOnCellular HttpCustomAuthHeaders HttpAllowSecureToNonSecureRedirect
    NonVolatile""".split()


def first_cells(heading):
    """What stands in the first column of the tables under a heading."""
    section = DOCS.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return "\n".join(re.findall(r"^\|([^|]*)\|", section, re.M))


class ApiDocs(unittest.TestCase):
    def test_every_method_of_the_com_shaped_interfaces_is_in_a_table(self):
        header = (FACADE / "deliveryoptimization_interfaces.h").read_text(encoding="utf-8")
        interfaces = re.findall(r"^struct (I\w+)[^;{]*\{(.*?)^\};", header, re.M | re.S)
        self.assertGreater(len(interfaces), 15)
        cells = "\n".join(re.findall(r"^\|([^|]*)\|", DOCS, re.M))
        for interface, body in interfaces:
            for method in re.findall(r"virtual HRESULT (\w+)\(", body):
                with self.subTest(interface=interface, method=method):
                    self.assertRegex(cells, rf"\b{method}\b")

    def test_every_published_property_of_a_download_is_in_the_table(self):
        cells = first_cells("IDOManager, IDODownload")
        for name in PUBLISHED_PROPERTIES:
            with self.subTest(name=name):
                self.assertRegex(cells, rf"\b{name}\b")

    def test_every_code_has_the_number_of_the_table_in_the_source(self):
        source = (ROOT / "engine/core/error_table.cc").read_text(encoding="utf-8")
        rows = re.findall(r'Row\{(\w+), "\w+", (0x\w+),\s*"(\w+)"', source)
        codes = re.search(r"enum class ErrorCode \{(.*?)\};",
                          (PUBLIC / "error.h").read_text(encoding="utf-8"), re.S).group(1)
        names = re.findall(r"^  (\w+),", codes, re.M)
        self.assertEqual([row[0] for row in rows], names)
        told = re.findall(r"^\| (\w+) \| (\w+) \| (0x\w+) \|$", DOCS, re.M)
        self.assertEqual([(code, name, number.lower()) for code, name, number in told],
                         [(code, name, number) for code, number, name in rows])


if __name__ == "__main__":
    unittest.main()
