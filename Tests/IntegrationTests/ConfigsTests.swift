import Foundation
import Testing

@testable import Configuration

/// The repository's folder.
let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent()

@Suite struct ConfigsTests {
  static let files = [
    "smoke", "quickstart", "quickstart-media", "compare", "dffd", "celeb-df", "resnet18",
    "resnet34", "resnet50",
    "efficientnet-b0", "efficientnet-b4", "mobilenet-v2", "vgg16-bn", "convnext-tiny",
    "meso-inception4", "xception-patches", "deepfakebench", "sbi",
  ]

  @Test(arguments: files) func everyConfigurationInTheRepositoryIsValid(name: String) throws {
    let path = repository.appending(path: "configs/\(name).yaml")
    let text = try String(contentsOf: path, encoding: .utf8)
    let configuration = try Configuration.parse(text, name: path.path, overrides: [])
    #expect(configuration.run.name == name)
  }

  /// Without its data, the paper's configuration says in words what the defaults say anyway.
  @Test func theConfigurationOfThePaperIsTheDefault() throws {
    let path = repository.appending(path: "configs/dffd.yaml")
    let text = try String(contentsOf: path, encoding: .utf8)
    let paper = try Configuration.parse(text, name: path.path, overrides: [])
    let defaults = Configuration()
    #expect(paper.model == defaults.model)
    #expect(paper.training == defaults.training)
    #expect(paper.augmentation.blocks == defaults.augmentation.blocks)
    #expect(paper.augmentation.method == defaults.augmentation.method)
    #expect(paper.augmentation.probability == defaults.augmentation.probability)
    #expect(paper.augmentation.fill == defaults.augmentation.fill)
    #expect(paper.data.crop == defaults.data.crop)
    #expect(paper.run.seed == defaults.run.seed)
  }
}
