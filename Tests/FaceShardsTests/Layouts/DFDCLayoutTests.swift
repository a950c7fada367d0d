import Foundation
import TestSupport
import Testing

@testable import FaceShards
@testable import Foundations

@Suite struct DFDCLayoutTests {
  private static func metadata(_ rows: [(String, String, String?)]) -> String {
    "{"
      + rows.map { name, label, original in
        #""\#(name).mp4":{"label":"\#(label)","split":"train","original":"#
          + (original.map { "\"\($0).mp4\"" } ?? "null") + "}"
      }.joined(separator: ",") + "}"
  }

  private static let texts = [
    "dfdc_train_part_0/metadata.json": metadata([
      ("aaa", "REAL", nil), ("bbb", "FAKE", "aaa"), ("ccc", "FAKE", "aaa"), ("zzz", "FAKE", "aaa"),
    ]),
    "dfdc_train_part_1/metadata.json": metadata([("ddd", "REAL", nil), ("eee", "FAKE", "ddd")]),
  ]
  private static let files = [
    "dfdc_train_part_0/aaa.mp4", "dfdc_train_part_0/bbb.mp4", "dfdc_train_part_0/ccc.mp4",
    "dfdc_train_part_1/ddd.mp4", "dfdc_train_part_1/eee.mp4",
  ]

  @Test func metadataSaysWhatIsFake() throws {
    let layout = try LayoutFixture(Self.files, texts: Self.texts).layout()
    #expect(layout.kind == .dfdc && layout.methods == ["real", "dfdc"])
    #expect(
      LayoutFixture.words(layout) == [
        Self.files[0]: "- real aaa", Self.files[1]: "- dfdc bbb", Self.files[2]: "- dfdc ccc",
        Self.files[3]: "- real ddd", Self.files[4]: "- dfdc eee",
      ])
    // "train" of all says nothing.
    #expect(layout.splits.isEmpty && !layout.isOfficial)
    #expect(LayoutFixture.groups(layout) == [["aaa", "bbb", "ccc"], ["ddd", "eee"]])
    #expect(
      layout.notes.contains {
        $0.hasPrefix("1 of the 4 videos that") && $0.contains("dfdc_train_part_0/metadata.json")
          && $0.hasSuffix("such as zzz")
      }, "\(layout.notes)")
  }

  @Test func testAndValidationSetsHaveLabels() throws {
    let set = try LayoutFixture(
      Self.files + ["test/xa.mp4", "test/xb.mp4", "validation/frames/va/0.png"],
      texts: Self.texts.merging([
        "test/labels.csv": "filename,label\nxa.mp4,0\nxb.mp4,1\n",
        "validation/labels.csv": "label,filename\r\n1,va.mp4\r\n",
      ]) { $1 })
    let read = try set.read()
    #expect(read["test/xa.mp4"] == "test real xa" && read["test/xb.mp4"] == "test dfdc xb")
    #expect(read["validation/frames/va/0.png"] == "validation dfdc va")
    #expect(read["dfdc_train_part_0/aaa.mp4"] == "- real aaa")
  }

  @Test func oneFolderWithLabels() throws {
    let set = try LayoutFixture(
      ["videos/xa.mp4", "videos/xb.mp4"],
      texts: ["labels.csv": "filename,label\nxa.mp4,0\nxb.mp4,1\n"])
    #expect(
      try set.read() == ["videos/xa.mp4": "- real xa", "videos/xb.mp4": "- dfdc xb"])
  }

  /// A table of images is a list like any other.
  @Test func labelsOfImagesAreAList() throws {
    let set = try LayoutFixture(
      ["xa.png", "xb.png"], texts: ["labels.csv": "filename,label\nxa.png,0\nxb.png,1\n"])
    #expect(try set.layout().kind == .list)
  }

  @Test func thePreviewHasMethodsSplitsAndPeople() throws {
    let files = [
      "method_A/1/1_A/1_A_001.mp4", "method_B/2/2_C/2_C_001.mp4", "original_videos/1/1_001.mp4",
      "original_videos/2/2_001.mp4", "original_videos/3/3_001.mp4", "method_A/3/3_A/3_A_001.mp4",
    ]
    let json = """
      {"method_A/1/1_A/1_A_001.mp4": {"label": "fake", "set": "train", "target_id": "1",
         "swapped_id": "2", "augmentations": []},
       "method_B/2/2_C/2_C_001.mp4": {"label": "fake", "set": "train", "target_id": "2",
         "swapped_id": "9", "augmentations": []},
       "original_videos/1/1_001.mp4": {"label": "real", "set": "train", "target_id": "1"},
       "original_videos/2/2_001.mp4": {"label": "real", "set": "train", "target_id": "2"},
       "original_videos/3/3_001.mp4": {"label": "real", "set": "test", "target_id": "3"},
       "method_A/3/3_A/3_A_001.mp4": {"label": "fake", "set": "test", "target_id": "3"}}
      """
    let layout = try LayoutFixture(files, texts: ["dataset.json": json]).layout()
    #expect(layout.methods == ["real", "method_A", "method_B"] && layout.splits == ["test"])
    #expect(LayoutFixture.words(layout)[files[5]] == "test method_A 3_A_001")
    #expect(
      LayoutFixture.groups(layout) == [
        ["1_A_001", "2_C_001", "1_001", "2_001"], ["3_001", "3_A_001"],
      ])
  }

  @Test func whatNoTableNamesIsRefused() throws {
    let set = try LayoutFixture(Self.files + ["dfdc_train_part_2/fff.mp4"], texts: Self.texts)
    #expect(
      try set.refusal().contains("1 images or videos, such as dfdc_train_part_2/fff.mp4"))
    #expect(
      try LayoutFixture(Self.files).refusal().contains(
        "no metadata.json, labels.csv or dataset.json"))
  }

  @Test(arguments: [
    (#"{"a.mp4": {"label": "MAYBE"}}"#, "the label MAYBE is neither REAL nor FAKE"),
    (#"{"a.mp4": {"split": "train"}}"#, "has no label"),
    (#"{"a.mp4": {"label": "REAL"}, "x/a.mp4": {"label": "FAKE"}}"#, "names a twice"),
    (#"{"a.mp4": {"label": "REAL", "split": "later"}}"#, "the split later is none of"),
    ("[]", "is no object"), ("{", "is not JSON"), ("{}", "names no videos"),
  ])
  func tablesOfAnotherFormAreRefused(json: String, part: String) throws {
    let set = try LayoutFixture(
      ["dfdc_train_part_0/a.mp4"], texts: ["dfdc_train_part_0/metadata.json": json])
    let text = try set.refusal()
    #expect(text.contains("metadata.json: ") && text.contains(part), "\(text)")
  }
}
