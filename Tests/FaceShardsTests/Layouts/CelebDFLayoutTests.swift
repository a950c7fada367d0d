import Foundation
import TestSupport
import Testing

@testable import FaceShards
@testable import Foundations

@Suite struct CelebDFLayoutTests {
  static let videos = [
    "Celeb-real/id0_0000.mp4", "Celeb-real/id0_0001.mp4", "Celeb-real/id1_0000.mp4",
    "Celeb-real/id2_0000.mp4", "Celeb-real/id3_0004.mp4",
    "Celeb-synthesis/id0_id1_0000.mp4", "Celeb-synthesis/id1_id0_0000.mp4",
    "Celeb-synthesis/id2_id3_0000.mp4",
    "YouTube-real/00000.mp4", "YouTube-real/00007.mp4",
  ]
  static let list = """
    1 YouTube-real/00007.mp4
    1 Celeb-real/id1_0000.mp4
    0 Celeb-synthesis/id1_id0_0000.mp4

    """

  @Test func theListNamesTheVideosForTesting() throws {
    let set = try LayoutFixture(
      Self.videos, texts: ["List_of_testing_videos.txt": Self.list])
    let layout = try set.layout()
    #expect(layout.kind == .celebDF && layout.methods == ["real", "Celeb-synthesis"])
    #expect(
      LayoutFixture.words(layout) == [
        "Celeb-real/id0_0000.mp4": "- real id0_0000",
        "Celeb-real/id0_0001.mp4": "- real id0_0001",
        "Celeb-real/id1_0000.mp4": "test real id1_0000",
        "Celeb-real/id2_0000.mp4": "- real id2_0000",
        "Celeb-real/id3_0004.mp4": "- real id3_0004",
        "Celeb-synthesis/id0_id1_0000.mp4": "- Celeb-synthesis id0_id1_0000",
        "Celeb-synthesis/id1_id0_0000.mp4": "test Celeb-synthesis id1_id0_0000",
        "Celeb-synthesis/id2_id3_0000.mp4": "- Celeb-synthesis id2_id3_0000",
        "YouTube-real/00000.mp4": "- real 00000", "YouTube-real/00007.mp4": "test real 00007",
      ])
    // What is not for testing is for training.
    let dealt = try set.dealt()
    #expect(dealt.filter { $0.value == "test" }.count == 3)
    #expect(dealt.filter { $0.value == "train" }.count == 7)
    // The official list has people in both.
    #expect(
      layout.notes.contains {
        $0.hasPrefix("1 sources are in several splits, such as Celeb-real/id0_0000.mp4 and")
          && $0.contains("5 sources that show the same people")
          && $0.hasSuffix("List_of_testing_videos.txt says so")
      }, "\(layout.notes)")
  }

  @Test func theRestMayBeDealtOut() throws {
    let set = try LayoutFixture(
      Self.videos + [
        "Celeb-real/id4_0000.mp4", "Celeb-real/id5_0000.mp4", "Celeb-synthesis/id4_id5_0000.mp4",
      ], texts: ["List_of_testing_videos.txt": Self.list])
    set.settings.split = try SplitShares(parsing: "train=0.5,validation=0.5")
    let dealt = try set.dealt()
    #expect(dealt.filter { $0.value == "test" }.count == 3)
    #expect(
      Set(
        ["real/id2_0000", "real/id3_0004", "synthesis/id2_id3_0000"].map {
          dealt["Celeb-\($0).mp4"]
        }
      ).count == 1)
    #expect(Set(dealt.values) == ["train", "validation", "test"])
    set.settings.split = try SplitShares(parsing: "test=1")
    #expect(throws: PackError.self) { try set.dealt() }
  }

  @Test func peopleTieWithoutAList() throws {
    let layout = try LayoutFixture(Self.videos).layout()
    #expect(
      LayoutFixture.groups(layout) == [
        ["id0_0000", "id0_0001", "id1_0000", "id0_id1_0000", "id1_id0_0000"],
        ["id2_0000", "id3_0004", "id2_id3_0000"], ["00000"], ["00007"],
      ])
    #expect(layout.splits.isEmpty)
  }

  @Test func videosAndFramesMayLieDeeper() throws {
    let files = [
      "Celeb-DF-v2/Celeb-real/videos/id0_0000.mp4",
      "Celeb-DF-v2/Celeb-synthesis/frames/id0_id1_0000/000.png",
      "Celeb-DF-v2/Celeb-synthesis/frames/id0_id1_0000/009.png",
      "Celeb-DF-v2/Youtube-real/00000/000.png",
      "Celeb-DF-v2/Celeb-synthesis/landmarks/id0_id1_0000/000.npy",
      "Celeb-DF-v2/Celeb-synthesis/masks/id0_id1_0000/000.png",
    ]
    #expect(
      try LayoutFixture(files).read() == [
        files[0]: "- real id0_0000", files[1]: "- Celeb-synthesis id0_id1_0000",
        files[2]: "- Celeb-synthesis id0_id1_0000", files[3]: "- real 00000",
      ])
    #expect(
      try LayoutFixture(Self.videos + ["Celeb-real/frames/id0_0000/0.png"]).refusal()
        .contains("is there twice"))
  }

  @Test(arguments: [
    ("0 YouTube-real/00007.mp4", "line 1: label 0 says fake, but the folder is YouTube-real"),
    (
      "1 YouTube-real/00007.mp4\n1 Celeb-synthesis/id1_id0_0000.mp4",
      "line 2: label 1 says real, but the folder is Celeb-synthesis"
    ),
    ("2 YouTube-real/00007.mp4", "line 1: has another form"),
    ("YouTube-real/00007.mp4", "line 1: has another form"),
    ("1 00007.mp4", "line 1: has another form"), ("\n \n", "names no videos"),
    ("1 YouTube-real/99999.mp4", "names none of the videos that are there"),
  ])
  func aListOfAnotherFormIsRefused(list: String, part: String) throws {
    let set = try LayoutFixture(Self.videos, texts: ["List_of_testing_videos.txt": list])
    let text = try set.refusal()
    #expect(text.contains("List_of_testing_videos.txt") && text.contains(part), "\(text)")
  }

  @Test func listedVideosThatAreMissingAreCounted() throws {
    let set = try LayoutFixture(
      Self.videos,
      texts: [
        "List_of_testing_videos.txt": Self.list + "1 YouTube-real/00170.mp4\r\n"
          + "0 Celeb-synthesis/id9_id8_0000.mp4\n"
      ])
    let notes = try set.layout().notes
    #expect(
      notes.contains {
        $0.hasPrefix("2 of the 5 videos") && $0.contains("YouTube-real/00170.mp4 in line 4")
      }, "\(notes)")
  }

  /// What earlier versions asked people to make.
  @Test func aFolderOfLinksAsAskedBefore() throws {
    let set = try LayoutFixture([
      "real/Celeb-real/id0_0000.mp4", "fake/Celeb-synthesis/id0_id1_0000.mp4",
    ])
    #expect(try set.layout().kind == .folders)
  }
}
