import Foundation
import TestSupport
import Testing

@testable import FaceShards
@testable import Foundations

/// The tree that FaceForensics++'s download script makes, with its split files.
@Suite struct FaceForensicsLayoutTests {
  static let methods = ["Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter"]
  static let pairs = [("000", "003"), ("001", "870"), ("720", "672")]

  static func videos(_ compression: String) -> [String] {
    pairs.flatMap { pair in
      [pair.0, pair.1].map { "original_sequences/youtube/\(compression)/videos/\($0).mp4" }
        + methods.flatMap { method in
          ["\(pair.0)_\(pair.1)", "\(pair.1)_\(pair.0)"].map {
            "manipulated_sequences/\(method)/\(compression)/videos/\($0).mp4"
          }
        }
    }
  }

  static let splits = [
    "train.json": #"[["000", "003"]]"#, "val.json": #"[["720", "672"]]"#,
    "test.json": "[\n  [\n    \"001\",\n    \"870\"\n  ]\n]",
  ]

  @Test func videosHaveTheirMethodAndTheOfficialSplit() throws {
    let masks = Self.methods.map { "manipulated_sequences/\($0)/masks/videos/000_003.mp4" }
    let downloads = ["downloaded_videos/--1ABC/--1ABC.mp4"]
    let set = try LayoutFixture(Self.videos("c23") + masks + downloads, texts: Self.splits)
    let layout = try set.layout()
    #expect(layout.kind == .faceforensics)
    #expect(layout.methods == ["real"] + Self.methods.sorted())
    #expect(layout.splits == ["train", "validation", "test"] && layout.isOfficial)
    let read = LayoutFixture.words(layout)
    #expect(Set(read.keys) == Set(Self.videos("c23")))
    #expect(layout.candidates.allSatisfy { $0.kind == .video && $0.mask == nil })
    for (pair, split) in zip(Self.pairs, ["train", "test", "validation"]) {
      #expect(
        read["original_sequences/youtube/c23/videos/\(pair.0).mp4"] == "\(split) real \(pair.0)")
      for method in Self.methods {
        let fake = "\(pair.1)_\(pair.0)"
        #expect(
          read["manipulated_sequences/\(method)/c23/videos/\(fake).mp4"]
            == "\(split) \(method) \(fake)")
      }
    }
    #expect(layout.notes.contains { $0.contains("masks, thumbnails, landmarks") })
    #expect(layout.notes[0].contains("read as FaceForensics++ (--layout faceforensics)"))
    // An official split has no crossings.
    #expect(!layout.notes.contains { $0.contains("in several splits") })
  }

  @Test func withoutSplitFilesAPairIsInOneSplit() throws {
    let set = try LayoutFixture(Self.videos("c23"))
    let layout = try set.layout()
    #expect(layout.splits.isEmpty)
    #expect(
      LayoutFixture.groups(layout)
        == Set(
          Self.pairs.map { [$0.0, $0.1, "\($0.0)_\($0.1)", "\($0.1)_\($0.0)"] as Set<String> }))
    for seed in 0..<5 as Range<UInt64> {
      set.settings.split = try SplitShares(parsing: "train=0.4,validation=0.3,test=0.3")
      let dealt = try set.dealt(seed: seed)
      for pair in Self.pairs {
        let own = dealt.filter { $0.key.contains(pair.0) || $0.key.contains(pair.1) }
        #expect(own.count == 12 && Set(own.values).count == 1)
      }
    }
  }

  @Test func splitFilesMayLieElsewhere() throws {
    let set = try LayoutFixture(Self.videos("c40").map { "FF/\($0)" })
    let other = try LayoutFixture([], texts: Self.splits)
    set.settings.officialSplits = other.folder.path
    #expect(
      try set.read()["FF/original_sequences/youtube/c40/videos/870.mp4"] == "test real 870")
    set.settings.officialSplits = set.folder.path
    #expect(try set.refusal().contains("has no train.json, val.json and test.json"))
  }

  @Test func framesAreReadToo() throws {
    let frames = Self.pairs.flatMap { pair in
      ["0000", "0001"].flatMap { frame in
        [
          "original_sequences/youtube/c23/frames/\(pair.0)/\(frame).png",
          "original_sequences/youtube/c23/images/\(pair.1)/\(frame).jpg",
          "manipulated_sequences/FaceSwap/c23/frames/\(pair.0)_\(pair.1)/\(frame).png",
          // All of them in one folder.
          "manipulated_sequences/Face2Face/c23/faces/\(pair.0)_\(pair.1)_\(frame).png",
          "manipulated_sequences/FaceShifter/c23/\(pair.0)_\(pair.1)/\(frame).png",
        ]
      }
    }
    let read = try LayoutFixture(
      frames + ["manipulated_sequences/FaceSwap/c23/landmarks/000_003/0000.npy"],
      texts: Self.splits
    ).layout()
    #expect(read.candidates.count == frames.count)
    #expect(read.candidates.allSatisfy { $0.kind == .image })
    let words = LayoutFixture.words(read)
    #expect(
      words["original_sequences/youtube/c23/images/870/0001.jpg"] == "test real 870")
    #expect(
      words["manipulated_sequences/FaceShifter/c23/000_003/0001.png"]
        == "train FaceShifter 000_003")
    #expect(
      words["manipulated_sequences/Face2Face/c23/faces/000_003_0001.png"]
        == "train Face2Face 000_003")
  }

  @Test func copiesWithoutTheFoldersAroundAreRead() throws {
    let files = [
      "FF_C23/original/000.mp4", "FF_C23/original/003.mp4", "FF_C23/Deepfakes/000_003.mp4",
      "FF_C23/NeuralTextures/003_000.mp4",
    ]
    #expect(
      try LayoutFixture(files).read() == [
        files[0]: "- real 000", files[1]: "- real 003", files[2]: "- Deepfakes 000_003",
        files[3]: "- NeuralTextures 003_000",
      ])
    let frames = ["original/000/0001.png", "FaceSwap/000_003/0001.png"]
    #expect(
      try LayoutFixture(frames).read() == [
        frames[0]: "- real 000", frames[1]: "- FaceSwap 000_003",
      ])
    // Whose names are not FaceForensics++'s.
    #expect(try LayoutFixture(["original/a.png", "deepfakes/b.png"]).layout().kind == .folders)
  }

  @Test func severalCompressionsAreChosenFrom() throws {
    let set = try LayoutFixture(Self.videos("c23") + Self.videos("c40"), texts: Self.splits)
    #expect(
      try set.refusal().contains(
        "several compressions, c23 (36 files) and c40 (36 files): choose one with --compression c23"
      ))
    set.settings.compression = "c40"
    #expect(try Set(set.read().keys) == Set(Self.videos("c40")))
    set.settings.compression = "all"
    #expect(try set.read().count == 72)
    set.settings.compression = "raw"
    let error = try #require(throws: PackError.self) { try set.layout() }
    #expect(error.exitStatus == .usage && error.description.contains("c23 (36 files)"))
  }

  @Test func aVideoThatIsThereTwiceIsRefused() throws {
    let set = try LayoutFixture(
      Self.videos("c23") + ["original_sequences/youtube/c23/frames/000/0000.png"])
    let text = try set.refusal()
    #expect(text.contains("000 of youtube is there twice") && text.contains("--skip '*/videos/*'"))
  }

  /// 01_02__… has the face of actor 02 in a video of actor 01.
  @Test func actorsTie() throws {
    let files = [
      "original_sequences/actors/c23/videos/01__walking_outside_cafe_disgusted.mp4",
      "original_sequences/actors/c23/videos/02__kitchen_still.mp4",
      "original_sequences/actors/c23/videos/03__kitchen_still.mp4",
      "original_sequences/actors/c23/videos/04__hugging_happy.mp4",
      "manipulated_sequences/DeepFakeDetection/c23/videos/"
        + "01_02__walking_outside_cafe_disgusted__YVGY8LOK.mp4",
      "manipulated_sequences/DeepFakeDetection/c23/videos/03_04__kitchen_still__480LQD1C.mp4",
    ]
    let groups = LayoutFixture.groups(try LayoutFixture(files).layout())
    #expect(
      groups == [
        [
          "01__walking_outside_cafe_disgusted", "02__kitchen_still",
          "01_02__walking_outside_cafe_disgusted__YVGY8LOK",
        ], ["03__kitchen_still", "04__hugging_happy", "03_04__kitchen_still__480LQD1C"],
      ])
    // The official lists have no actors.
    let set = try LayoutFixture(files + Self.videos("c23"), texts: Self.splits)
    let layout = try set.layout()
    #expect(layout.candidates.count == 36)
    #expect(layout.notes.contains { $0.contains("and 5 more: in none of train.json, val.json") })
  }

  @Test(arguments: [
    ("test.json", #"[["001", "870"], ["003", "004"]]"#, "is in test as well"),
    ("val.json", "[[\"000\", \"003\"]", "is not JSON"),
    ("val.json", #"[["720", 672]]"#, "entry 0 is no pair"),
    ("val.json", #"{"720": "672"}"#, "is no list"),
    ("val.json", #"[["720", "672", "001"]]"#, "entry 0 is no pair"),
    ("val.json", #"[["../a", "672"]]"#, "entry 0 is no pair"),
  ])
  func splitFilesOfAnotherFormAreRefused(file: String, text: String, part: String) throws {
    let set = try LayoutFixture(Self.videos("c23"), texts: Self.splits)
    try set.folder.write(file, Array(text.utf8))
    let refusal = try set.refusal()
    #expect(refusal.contains(".json: ") && refusal.contains(part), "\(refusal)")
  }

  @Test func aMissingSplitFileIsNamed() throws {
    let set = try LayoutFixture(Self.videos("c23"), texts: ["train.json": #"[["000", "003"]]"#])
    #expect(try set.refusal().contains("but no test.json"))
  }

  @Test func imagesElsewhereAreNotLost() throws {
    let set = try LayoutFixture(Self.videos("c23") + ["extra/clip.mp4"])
    #expect(try set.refusal().contains("extra/clip.mp4"))
  }

  /// What earlier versions asked people to do is read as it was.
  @Test func foldersCalledRealAndFakeAroundItSayMore() throws {
    let set = try LayoutFixture([
      "real/original_sequences/a.png", "fake/manipulated_sequences/b.png",
    ])
    #expect(try set.layout().kind == .folders)
  }
}
