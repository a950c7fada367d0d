import Foundation
import TestSupport
import Testing

@testable import FaceShards
@testable import Foundations

/// The trees and JSON files that DeepfakeBench's rearrange.py and DF40 make.
@Suite struct DeepfakeBenchLayoutTests {
  private static let ff = "FaceForensics++"
  private static let reals = ["000", "003", "001"].flatMap { video in
    ["000", "012"].map { "\(ff)/original_sequences/youtube/c23/frames/\(video)/\($0).png" }
  }
  private static let fakes = ["Deepfakes", "Face2Face"].flatMap { method in
    ["000_003", "001_870"].flatMap { video in
      ["000", "012"].map { "\(ff)/manipulated_sequences/\(method)/c23/frames/\(video)/\($0).png" }
    }
  }
  private static let others = [
    "\(ff)/manipulated_sequences/Deepfakes/c23/masks/000_003/000.png",
    "\(ff)/manipulated_sequences/Deepfakes/c23/landmarks/000_003/000.npy",
  ]

  private static func quoted(_ paths: [String], windows: Bool) -> String {
    paths.map { "\"\(windows ? $0.replacing("/", with: "\\\\") : $0)\"" }.joined(separator: ",")
  }

  private static func json(
    windows: Bool = true, before: String = "", methods: [(String, String)]
  ) -> String {
    func video(_ label: String, _ folder: String, _ name: String) -> String {
      let frames = ["000", "012"].map { "\(before)\(ff)/\(folder)/c23/frames/\(name)/\($0).png" }
      return "\"\(name)\":{\"label\":\"\(label)\",\"frames\":[\(quoted(frames, windows: windows))]}"
    }
    func label(_ name: String, _ folder: String, _ train: [String], _ test: [String]) -> String {
      let (train, test) = (
        train.map { video(name, folder, $0) }.joined(separator: ","),
        test.map { video(name, folder, $0) }.joined(separator: ",")
      )
      return
        "\"\(name)\":{\"train\":{\"c23\":{\(train)}},\"val\":{\"c23\":{}},\"test\":{\"c23\":{\(test)}}}"
    }
    let labels =
      [label("FF-real", "original_sequences/youtube", ["000", "003"], ["001"])]
      + methods.map {
        label($0.0, "manipulated_sequences/\($0.1)", ["000_003"], ["001_870"])
      }
    return "{\"\(ff)\":{\(labels.joined(separator: ","))}}"
  }

  private static let both = [("FF-DF", "Deepfakes"), ("FF-F2F", "Face2Face")]

  @Test func theJSONSaysLabelsAndSplits() throws {
    let files = (reals + fakes + others).map { "rgb/\($0)" }
    let set = try LayoutFixture(
      files, texts: ["dataset_json/FaceForensics++.json": Self.json(methods: Self.both)])
    let layout = try set.layout()
    #expect(layout.kind == .deepfakebench && layout.isOfficial)
    #expect(layout.methods == ["real", "Deepfakes", "Face2Face"])
    #expect(layout.splits == ["train", "test"])
    let words = LayoutFixture.words(layout)
    #expect(Set(words.keys) == Set((Self.reals + Self.fakes).map { "rgb/\($0)" }))
    #expect(
      words["rgb/\(Self.ff)/original_sequences/youtube/c23/frames/001/012.png"] == "test real 001")
    #expect(
      words["rgb/\(Self.ff)/manipulated_sequences/Deepfakes/c23/frames/000_003/000.png"]
        == "train Deepfakes 000_003")
    #expect(
      LayoutFixture.groups(layout) == [["000", "003", "000_003"], ["001", "001_870"]])
  }

  private var reals: [String] { Self.reals }
  private var fakes: [String] { Self.fakes }
  private var others: [String] { Self.others }

  @Test(arguments: ["", "./", "rgb/", "/home/someone/datasets/rgb/", "deepfakes_datasets/"])
  func pathsAreFoundWhereverTheyWereWritten(before: String) throws {
    for input in ["", "rgb"] {
      let set = try LayoutFixture((reals + fakes).map { "rgb/\($0)" })
      let index = try LayoutFixture(
        [], texts: ["FF.json": Self.json(windows: false, before: before, methods: Self.both)])
      set.settings.officialSplits = index.folder.path
      set.settings.layout = .deepfakebench
      #expect(try set.layout(below: input).candidates.count == 14)
    }
  }

  /// Methods have frames of the same names: what is missing of one is not found in another.
  @Test func missingFramesAreNotTakenFromElsewhere() throws {
    let set = try LayoutFixture(
      (reals + fakes.filter { $0.contains("Face2Face") }).map { "rgb/\($0)" },
      texts: ["dataset_json/DF.json": Self.json(methods: Self.both)])
    let layout = try set.layout()
    #expect(layout.methods == ["real", "Face2Face"] && layout.candidates.count == 10)
    #expect(layout.notes.contains { $0.hasPrefix("4 of 14 frames that the JSON files name") })
    // From the folder of one method too.
    let alone = try LayoutFixture(fakes.map { "rgb/\($0)" })
    let index = try LayoutFixture(
      [], texts: ["DF.json": Self.json(methods: [("FF-DF", "Deepfakes")])])
    alone.settings.officialSplits = index.folder.path
    alone.settings.layout = .deepfakebench
    #expect(
      try alone.refusal(below: "rgb/\(Self.ff)/manipulated_sequences/Face2Face")
        .contains("none of the frames"))
  }

  /// As Celeb-DF's: everything is for training, and what is for testing for validation too.
  @Test func whatIsListedTwiceIsFurthestFromTraining() throws {
    func video(_ label: String, _ folder: String, _ name: String) -> String {
      "\"\(name)\":{\"label\":\"\(label)\",\"frames\":[\"Celeb-DF-v2/\(folder)/frames/\(name)/0.png\"]}"
    }
    let (a, b) = (
      video("CelebDFv2_real", "Celeb-real", "id0_0000"),
      video("CelebDFv2_real", "Celeb-real", "id1_0000")
    )
    let (c, d) = (
      video("CelebDFv2_fake", "Celeb-synthesis", "id0_id1_0000"),
      video("CelebDFv2_fake", "Celeb-synthesis", "id1_id0_0000")
    )
    let json = """
      {"Celeb-DF-v2": {
        "CelebDFv2_real": {"train": {\(a),\(b)}, "val": {\(b)}, "test": {\(b)}},
        "CelebDFv2_fake": {"train": {\(c),\(d)}, "val": {\(d)}, "test": {\(d)}}}}
      """
    let set = try LayoutFixture(
      [
        "rgb/Celeb-DF-v2/Celeb-real/frames/id0_0000/0.png",
        "rgb/Celeb-DF-v2/Celeb-real/frames/id1_0000/0.png",
        "rgb/Celeb-DF-v2/Celeb-synthesis/frames/id0_id1_0000/0.png",
        "rgb/Celeb-DF-v2/Celeb-synthesis/frames/id1_id0_0000/0.png",
      ], texts: ["Celeb-DF-v2.json": json])
    let layout = try set.layout()
    #expect(
      Set(LayoutFixture.words(layout).values) == [
        "train real id0_0000", "test real id1_0000", "train Celeb-synthesis id0_id1_0000",
        "test Celeb-synthesis id1_id0_0000",
      ])
    #expect(
      layout.notes.contains {
        $0.hasPrefix("2 images are listed for train and validation and test")
          && $0.hasSuffix("they are only in test")
      }, "\(layout.notes)")
    #expect(layout.notes.contains { $0.contains("sources are in several splits") })
  }

  /// The same bytes under another name.
  @Test func exactDuplicatesLeaveTheTraining() throws {
    let set = try LayoutFixture(
      (reals + fakes).map { "rgb/\($0)" },
      texts: ["dataset_json/FF.json": Self.json(methods: Self.both)])
    let picture = [UInt8](repeating: 7, count: 5000)
    try set.folder.write("rgb/" + reals[0], picture)
    try set.folder.write("rgb/" + reals[1], picture.dropLast() + [8])
    try set.folder.write(
      "rgb/\(Self.ff)/original_sequences/youtube/c23/frames/001/000.png", picture)
    let layout = try set.layout()
    let words = LayoutFixture.words(layout)
    #expect(words.count == 13 && words["rgb/" + reals[0]] == nil && words["rgb/" + reals[1]] != nil)
    #expect(layout.notes.contains { $0.hasPrefix("1 files are the same as one that is further") })
  }

  @Test(arguments: [
    (#"{"A": {"x_real": {"later": {}}}}"#, "expected train, val or test"),
    (#"{"A": {"x_real": {"train": {"v": {"frames": [1]}}}}}"#, "a frame that is no path"),
    (
      #"{"A": {"x_fake": {"train": {"v": {"label": "x_real", "frames": []}}}}}"#,
      "is called x_real, but stands under x_fake"
    ),
    (#"{"A": {"x_real": {"train": {}}}}"#, "names no videos"), ("[1]", "is no object"),
    (#"{"A": [1]}"#, "is no object"),
  ])
  func filesOfAnotherFormAreRefused(json: String, part: String) throws {
    let set = try LayoutFixture(["rgb/a/b/c.png"])
    let index = try LayoutFixture([], texts: ["A.json": json])
    set.settings.officialSplits = index.folder.path
    set.settings.layout = .deepfakebench
    let text = try set.refusal()
    #expect(text.contains("A.json: ") && text.contains(part), "\(text)")
  }

  @Test(arguments: [
    ("FF-real", false), ("CelebDFv2_real", false), ("DFDCP_Real", false), ("DFDC_Fake", true),
    ("FF-DF", true), ("DFDCP_FakeA", true), ("real", false),
  ])
  func labelsSayTheirClass(label: String, isFake: Bool) {
    #expect(DeepfakeBenchIndex.isFake(label) == isFake)
  }

  @Test func methodsAreCalledAsTheirAuthorsDo() {
    #expect(
      ["FF-NT", "DFDCP_FakeB", "simswap_ff", "DFDC_Fake", "UADFV_Fake"].map(
        DeepfakeBenchIndex.method)
        == ["NeuralTextures", "method_B", "simswap_ff", "dfdc", "UADFV"])
  }
}
