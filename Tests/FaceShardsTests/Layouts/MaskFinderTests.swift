import Foundation
import TestSupport
import Testing

@testable import FaceShards
@testable import Foundations

@Suite struct MaskFinderTests {
  private func masks(_ set: LayoutFixture, _ folder: String) throws -> [String: String] {
    set.settings.masks = set.folder(folder)
    var all: [String: String] = [:]
    for file in try set.layout().candidates {
      guard let mask = file.mask else { continue }
      let path = "\(mask)"
      #expect(path.hasPrefix(set.folder.path + "/"))
      all["\(file.path)"] = String(path.dropFirst(set.folder.path.count + 1))
    }
    return all
  }

  @Test func theTreeOfFaceForensicsIsFound() throws {
    let masks = ["Deepfakes", "FaceSwap"].map {
      "manipulated_sequences/\($0)/masks/videos/000_003.mp4"
    }
    let set = try LayoutFixture(FaceForensicsLayoutTests.videos("c23") + masks)
    for folder in [".", "manipulated_sequences"] {
      #expect(
        try self.masks(set, folder) == [
          "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4": folder == "."
            ? "./" + masks[0] : masks[0],
          "manipulated_sequences/FaceSwap/c23/videos/000_003.mp4": folder == "."
            ? "./" + masks[1] : masks[1],
        ])
    }
    set.settings.masks = set.folder.path
    #expect(
      try set.layout().notes.contains {
        $0.contains("masks of 2 fakes found; 28 have none, such as")
      })
  }

  @Test func framesHaveTheMaskOfTheirVideo() throws {
    let set = try LayoutFixture([
      "original_sequences/youtube/c23/frames/000/000.png",
      "manipulated_sequences/Deepfakes/c23/frames/000_003/000.png",
      "manipulated_sequences/Deepfakes/c23/frames/001_870/000.png",
      "manipulated_sequences/Face2Face/c23/frames/000_003/000.png",
      "manipulated_sequences/Deepfakes/c23/masks/000_003/000.png",
      "manipulated_sequences/Face2Face/c23/masks/000_003/000.png",
    ])
    #expect(
      try masks(set, "manipulated_sequences") == [
        "manipulated_sequences/Deepfakes/c23/frames/000_003/000.png":
          "manipulated_sequences/Deepfakes/c23/masks/000_003/000.png",
        "manipulated_sequences/Face2Face/c23/frames/000_003/000.png":
          "manipulated_sequences/Face2Face/c23/masks/000_003/000.png",
      ])
  }

  @Test func filesOfTheSameNamesAreMasks() throws {
    let set = try LayoutFixture([
      "data/real/a.png", "data/fake/m/b.jpg", "data/fake/m/c.png", "data/fake/n/d.mp4",
      "masks/a.png", "masks/b.png", "masks/c_mask.png", "masks/m/d.png", "masks/unused.png",
    ])
    set.settings.input = set.folder("data")
    set.settings.masks = set.folder("masks")
    let layout = try set.layout()
    let found = layout.candidates.compactMap { file in
      file.mask.map { "\(file.path) \($0.components.last.map { BytePath(bytes: $0) }!)" }
    }
    #expect(found == ["fake/m/b.jpg b.png", "fake/m/c.png c_mask.png"])
    let note = try #require(layout.notes.last)
    #expect(note.contains("masks of 2 fakes found") && note.contains("3 masks are of nothing"))
  }

  @Test func masksThatFitTwoWaysAreRefused() throws {
    let set = try LayoutFixture([
      "data/real/a.png", "data/fake/m/b.png", "masks/m/b.png", "masks/m/b.jpg",
    ])
    set.settings.input = set.folder("data")
    set.settings.masks = set.folder("masks")
    #expect(try set.refusal().contains("could be its mask"))
  }

  @Test func masksOfNothingAreRefused() throws {
    let set = try LayoutFixture(["real/a.png", "fake/m/b.png", "other/notes.txt"])
    let other = try LayoutFixture(["x.png"])
    set.settings.masks = other.folder.path
    #expect(try set.refusal().contains("none of its 1 masks is of a fake"))
    set.settings.masks = set.folder("other")
    #expect(try set.refusal().contains("no images or videos that could be masks"))
    set.settings.masks = set.folder.path
    #expect(try set.refusal().contains("as no folder in it is called masks"))
    set.settings.masks = set.folder("nowhere")
    #expect(try set.refusal().contains("can't be opened"))
  }
}
