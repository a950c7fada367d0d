import Foundation
import TestSupport
import Testing

@testable import FaceShards
@testable import Foundations

@Suite struct DFFDLayoutTests {
  private static func files(_ folders: [String]) -> [String] {
    folders.flatMap { folder in
      ["train", "validation", "test"].map { "\(folder)/\($0)/\(folder)_\($0)_00000.png" }
    }
  }

  @Test func namesOfFoldersSayWhatIsReal() throws {
    let folders = ["ffhq", "celeba_2w", "youtube", "stylegan_celeba", "pggan_v1", "Deepfakes"]
    let layout = try LayoutFixture(Self.files(folders)).layout()
    #expect(layout.kind == .dffd)
    #expect(layout.methods == ["real", "Deepfakes", "pggan_v1", "stylegan_celeba"])
    #expect(layout.splits == ["train", "validation", "test"])
    #expect(layout.notes.contains("real by their names: celeba_2w, ffhq, youtube"))
    #expect(layout.candidates.count == 18)
    let words = LayoutFixture.words(layout)
    #expect(
      words["celeba_2w/test/celeba_2w_test_00000.png"]
        == "test real celeba_2w/celeba_2w_test_00000")
    #expect(
      words["Deepfakes/validation/Deepfakes_validation_00000.png"]
        == "validation Deepfakes Deepfakes_validation_00000")
  }

  @Test func aFolderThatNobodyKnowsIsRefused() throws {
    let text = try LayoutFixture(Self.files(["ffhq", "pggan_v2", "holiday"])).refusal()
    #expect(text.contains("nothing says whether holiday/ is real or fake"), "\(text)")
    #expect(text.contains("--mapping"))
  }

  @Test func foldersCalledRealAndFakeAreReadByFolders() throws {
    let layout = try LayoutFixture([
      "real/train/a.png", "real/test/b.png", "fake/train/c.png", "fake/test/d.png",
    ]).layout()
    #expect(layout.kind == .folders)
  }
}
