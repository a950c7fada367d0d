import Foundation
import TestSupport
import Testing

@testable import FaceShards
@testable import Foundations

/// Folders as people name them.
@Suite struct PackLayoutTests {
  private func layout(_ paths: [String], groups: Bool = true) throws -> PackLayout {
    try PackLayout(files: paths.map { BytePath($0) }.sorted(), folder: "faces", groups: groups)
  }

  private func message(_ paths: [String]) throws -> String {
    let error = try #require(throws: PackError.self) { _ = try layout(paths) }
    guard case .badData(let text) = error else { return "another kind: \(error)" }
    #expect(text.hasPrefix("faces: ") && !text.contains("\n"))
    return text
  }

  /// Split, method and source of every image, by its path.
  private func read(_ layout: PackLayout) -> [String: String] {
    var all: [String: String] = [:]
    for image in layout.candidates {
      let split = image.split ?? "-"
      all["\(image.path)"] =
        "\(split) \(layout.methods[image.method]) \(layout.sources[image.source])"
    }
    return all
  }

  @Test(arguments: ["valid", "val", "dev", "Validation", "VAL", "eval", "development", "valid_set"])
  func aSplitByAnyOfItsNamesIsRead(name: String) throws {
    let found = try layout([
      "train/real/a.png", "train/fake/b.png", "\(name)/real/c.png", "\(name)/fake/d.png",
      "testing/real/e.png", "testing/fake/f.png",
    ])
    #expect(found.splits == ["train", "validation", "test"])
    #expect(read(found)["\(name)/fake/d.png"] == "validation fake d")
    #expect(found.notes.count == 1 && found.notes[0].contains("\(name)/ as validation/"))
    #expect(found.notes[0].contains("testing/ as test/"))
  }

  @Test(arguments: [
    ("Real", "Fake"), ("REAL", "FAKE"), ("0_real", "1_fake"), ("original", "manipulated"),
    ("Originals", "deepfakes"), ("real_faces", "fake-images"), ("pristine", "Deepfake"),
  ])
  func classesByAnyOfTheirNamesAreRead(real: String, fake: String) throws {
    let found = try layout(["\(real)/a.png", "\(fake)/swap/b.png", "\(fake)/swap/v/0.png"])
    #expect(
      read(found) == [
        "\(real)/a.png": "- real a", "\(fake)/swap/b.png": "- swap b",
        "\(fake)/swap/v/0.png": "- swap v",
      ])
    #expect(
      found.notes == [
        "read " + ["\(fake)/ as fake/", "\(real)/ as real/"].sorted().joined(separator: ", ")
      ])
  }

  @Test func splitAndClassInOneNameAreRead() throws {
    let found = try layout([
      "training_real/a.png", "training_fake/b.png", "test-fake/c.png",
      "real_test/d.png",
    ])
    #expect(found.splits == ["train", "test"])
    #expect(read(found)["training_fake/b.png"] == "train fake b")
    #expect(read(found)["real_test/d.png"] == "test real d")
    #expect(found.notes[0].contains("training_fake/ as train/fake/"))
  }

  /// The numbers of one method's pictures have nothing to do with another's.
  @Test func foldersAboveNumberedClassesNameTheMethods() throws {
    let found = try layout([
      "val/progan/0_real/1.png", "val/progan/1_fake/1.png", "val/deepfake/0_real/1.png",
      "val/deepfake/1_fake/1.png", "val/cyclegan/horse/0_real/1.png",
      "val/cyclegan/horse/1_fake/1.png",
    ])
    #expect(found.methods == ["real", "cyclegan", "deepfake", "progan"])
    #expect(read(found)["val/progan/1_fake/1.png"] == "validation progan progan/1")
    #expect(read(found)["val/deepfake/0_real/1.png"] == "validation real deepfake/1")
    #expect(
      read(found)["val/cyclegan/horse/1_fake/1.png"] == "validation cyclegan cyclegan/horse/1")
    #expect(found.notes[0].contains("name the methods, as in val/"))
  }

  @Test func foldersAroundEverythingArePassedThrough() throws {
    let found = try layout([
      "real_vs_fake/real-vs-fake/train/real/1.png", "real_vs_fake/real-vs-fake/train/fake/2.png",
    ])
    #expect(read(found)["real_vs_fake/real-vs-fake/train/fake/2.png"] == "train fake 2")
    #expect(
      found.notes == [
        "all images lie in real_vs_fake/real-vs-fake/, which says nothing; read as if from there"
      ])
  }

  /// These were taken for sources called train and test.
  @Test func splitsBelowTheClassesAreRead() throws {
    let found = try layout([
      "real/train/a.png", "real/test/b.png", "fake/swap/train/c.png", "fake/swap/test/v/d.png",
    ])
    #expect(found.splits == ["train", "test"])
    #expect(read(found)["fake/swap/test/v/d.png"] == "test swap v")
    #expect(read(found)["real/train/a.png"] == "train real a")
    let text = try message([
      "real/train/a.png", "real/test/b.png", "real/extra/e.png", "fake/swap/train/c.png",
    ])
    #expect(text.contains("real/extra/e.png is not"))
    // One person may be called so.
    let person = try layout(["real/Dev/a.png", "real/Ann/b.png", "fake/swap/Dev/c.png"])
    #expect(person.splits.isEmpty && person.sources.sorted() == ["Ann", "Dev"])
  }

  @Test func imagesThatHaveNoPlaceAreAnErrorThatShowsThem() throws {
    let inside = ["train/real/a.png", "train/fake/b.png"]
    for (stray, part) in [
      ("holdout/real/x.png", "--skip 'holdout/*'"), ("x.jpg", "x.jpg"),
      ("train/unsorted/x.webp", "train/unsorted/x.webp"), ("clips/x.mp4", "clips/x.mp4"),
    ] {
      let text = try message(inside + [stray])
      #expect(text.contains("1 of 3 files") && text.contains(part), "\(text)")
      #expect(text.contains("expected [SPLIT/]real/"))
    }
    let many = try message(inside + (0..<12).map { "holdout/fake/\($0).png" })
    #expect(many.contains("holdout/fake/0.png and 11 more beside it"))
    let found = try layout(inside + ["train/labels.csv", "README", "masks/fake_b.png"])
    #expect(found.candidates.count == 2)
    #expect(found.notes.contains("README and 1 more files: outside real/ and fake/; passed over"))
    #expect(found.notes.contains { $0.hasPrefix("masks/fake_b.png: masks") })
  }

  /// Told by content where the name doesn't say.
  @Test func anImageWithoutAnEndingIsAnImage() throws {
    let folder = TemporaryFolder()
    try folder.write("a", ImageGolden.bytes("jpeg-444.jpg"))
    try folder.write("b", Array("notes".utf8))
    try folder.write("c.JPG", [1])
    #expect(
      ["a", "b", "c.JPG", "nothing"].map { FolderEntryKind(of: BytePath(folder.path + "/" + $0)) }
        == [
          .image, .other, .image, .other,
        ])
  }

  @Test(arguments: [
    (
      ["val/real/a.png", "val/fake/b.png", "dev/real/c.png", "dev/fake/d.png"], "dev/ and val/ both"
    ),
    (["real/a.png", "original/b.png", "fake/c.png"], "original/ and real/ both mean real/"),
    (["real/a.png", "deepfakes/b.png", "fake/c.png"], "deepfakes/ and fake/ both mean fake/"),
    (["real/fake/a.png", "fake/m/b.png"], "which says both real and fake"),
    (["real/a.png", "fake/Real/b.png"], "rename it"),
    (["train/test/real/a.png", "train/fake/b.png"], "folders of two splits"),
    (["a/real/1.png", "a/fake/m/1.png", "b/real/1.png", "b/fake/m/1.png"], "in several ways"),
    (["real/id0/a.png", "real/id1/a.png", "fake/id0/a.png", "fake/id1/a.png"], "one deeper"),
    (["pics/a.png", "pics/b.png"], "there are pics/a.png and 1 more beside it"),
    ([], "there are no files in it"),
    (["real/v/a.png"], "no fake images; put them into fake/METHOD/; there are real/v/a.png"),
  ])
  func whatCanBeReadInTwoWaysIsAnError(paths: [String], part: String) throws {
    let text = try message(paths)
    #expect(text.contains(part), "\(text)")
  }

  // MARK: Sources

  @Test func framesOfAVideoAreOneSource() throws {
    let names = ["vidA", "vidB", "vidC"].flatMap { video in [0, 30].map { "\(video)_00\($0)" } }
    let found = try layout(
      names.map { "real/\($0).png" } + ["fake/swap/vidA-f0001.png", "fake/swap/vidB_frame_7.png"])
    #expect(Set(found.sources) == ["vidA", "vidB", "vidC"])
    #expect(found.isGrouped)
    #expect(found.notes.contains { $0.hasPrefix("8 files are named as frames of 3 videos") })
    let apart = try layout(names.map { "real/\($0).png" } + ["fake/x.png"], groups: false)
    #expect(apart.sources.count == 7 && !apart.isGrouped && apart.notes.isEmpty)
  }

  /// real_0001 and real_0002 are as likely two pictures as two frames.
  @Test func numbersOfPicturesAreNotFrames() throws {
    let found = try layout(
      (0..<9).flatMap { ["real/real_\($0).png", "fake/fake_\($0).png"] } + ["real/img7.png"])
    #expect(found.sources.count == 19)
    #expect(found.notes.contains { $0.contains("such as fake/fake_0.png are taken as sources") })
  }

  @Test(
    arguments: [
      ("vidA_0001", "vidA"), ("clip-f0001", "clip"), ("clip_frame_12", "clip"), ("a.b 07", "a.b"),
      ("clip-F3", "clip"), ("000_003_0001", "000_003"), ("train00001", nil), ("0001", nil),
      ("_1", nil), ("name", nil), ("f_1", "f"), ("half1", nil),
    ] as [(String, String?)])
  func namesOfFramesAreTakenApart(stem: String, video: String?) {
    #expect(FrameNames.video(of: Array(stem.utf8)) == video.map { Array($0.utf8) })
  }

  private func groups(_ paths: [String]) throws -> Set<Set<String>> {
    let found = try layout(paths)
    var members: [Int: Set<String>] = [:]
    for (source, group) in found.groups.enumerated() {
      members[group, default: []].insert(found.sources[source])
    }
    return Set(members.values)
  }

  @Test func aFakeMadeOfTwoVideosTiesThem() throws {
    #expect(
      try groups([
        "real/000/0.png", "real/003/0.png", "real/007/0.png", "real/009.png",
        "fake/swap/000_003/0.png", "fake/mouth/003_000/0.png", "fake/swap/007_009.png",
      ]) == [["000", "003", "000_003", "003_000"], ["007", "009", "007_009"]])
    // By the pairs alone, where their real videos are missing.
    #expect(
      try groups([
        "real/x/0.png", "fake/swap/000_003/0.png", "fake/swap/003_000/0.png",
        "fake/swap/005_003/0.png",
      ]) == [["x"], ["000_003", "003_000", "005_003"]])
    #expect(
      try groups(["real/a_b/0.png", "real/c-d/0.png", "fake/m/a_b__c-d/0.png"])
        == [["a_b", "c-d", "a_b__c-d"]])
  }

  @Test func namesThatOnlyLookLikePairsTieNothing() throws {
    let paths = (0..<4).flatMap {
      ["real/vid_000\($0)/0.png", "fake/swap/vid_000\($0)/0.png", "fake/swap/new_\($0)/0.png"]
    }
    #expect(try groups(paths).allSatisfy { $0.count == 1 })
    // Frames of the videos 1 and 2, not pairs of them.
    let frames = try layout(
      ["real/1/0.png", "real/2/0.png"]
        + [1, 2].flatMap { video in
          (1...4).map { "fake/swap/\(video)_\($0).png" }
        })
    #expect(Set(frames.sources) == ["1", "2"] && Set(frames.groups).count == 2)
  }

  @Test func aGroupIsInOneSplit() throws {
    // Twelve pairs, each the other way round too, by two methods.
    var paths: [String] = []
    for pair in 0..<12 {
      let (a, b) = (String(100 + 2 * pair), String(101 + 2 * pair))
      for frame in 0..<2 {
        paths += ["real/\(a)/\(frame).png", "real/\(b)/\(frame).png"]
        for method in ["swap", "mouth"] {
          paths += [
            "fake/\(method)/\(a)_\(b)/\(frame).png", "fake/\(method)/\(b)_\(a)/\(frame).png",
          ]
        }
      }
    }
    let plan = PackPlan(
      try SplitAssignment(layout: layout(paths), shares: nil, seed: 0), seed: 0, imagesPerShard: 50)
    var splitsOf: [Substring: Set<Int>] = [:]
    var sizes = [0, 0, 0]
    for shard in plan.shards {
      sizes[shard.split] += shard.range.count
      for item in plan.items[shard.range] {
        for video in plan.sources[item.source].split(separator: "_") {
          splitsOf[video, default: []].insert(shard.split)
        }
      }
    }
    #expect(splitsOf.count == 24 && splitsOf.values.allSatisfy { $0.count == 1 })
    // A pair is twelve images.
    #expect(sizes == [96, 24, 24])
    #expect(plan.notes.contains { $0.contains("48 sources are tied into 12 groups") })
  }

  @Test func sourcesThatFoldersPutIntoTwoSplitsAreCounted() throws {
    let found = try layout([
      "train/real/000/0.png", "train/fake/m/000_003/0.png", "test/real/003/0.png",
      "test/fake/m/010/0.png",
    ])
    #expect(
      found.notes.contains {
        $0.hasPrefix("1 sources are in several splits, such as") && $0.contains("000_003")
      })
  }

  @Test func tooFewSourcesAreCountedAndShown() throws {
    let found = try layout([
      "real/v0_1.png", "real/v0_2.png", "real/v1_1.png", "real/v1_2.png", "fake/m/v0_1.png",
      "fake/m/v1_1.png",
    ])
    let error = try #require(throws: PackError.self) {
      try SplitAssignment(layout: found, shares: nil, seed: 0)
    }
    #expect(
      error.description.contains("images: 4, sources: 2, such as real/v0_1.png")
        || error.description.contains("images: 2, sources: 2, such as fake/m/v0_1.png"), "\(error)")
    #expect(error.description.contains("--group none"))
  }
}
