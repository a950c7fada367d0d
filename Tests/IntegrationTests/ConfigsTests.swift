import Foundation
import Testing

@testable import Configuration

/// The repository's folder.
let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent()

@Suite struct ConfigsTests {
  static let files = Result {
    try FileManager.default.contentsOfDirectory(
      atPath: repository.appending(path: "configs").path
    ).filter { $0.hasSuffix(".yaml") }.sorted().map { String($0.dropLast(5)) }
  }

  /// What a file's first line says of its settings.
  private static let kinds = [
    "The paper's training", "A recommended starting point", "A small demonstration",
    "After another paper",
  ]

  @Test(arguments: try files.get())
  func everyConfigurationInTheRepositoryIsValid(name: String) throws {
    let path = repository.appending(path: "configs/\(name).yaml")
    let text = try String(contentsOf: path, encoding: .utf8)
    let configuration = try Configuration.parse(text, name: path.path, overrides: [])
    #expect(configuration.run.name == name)
    let first = text.prefix { $0 != "\n" }
    #expect(Self.kinds.contains { first.hasPrefix("# \($0)") }, "\(first)")
  }

  @Test func configurationsWereFound() throws {
    #expect(try Self.files.get().contains("dffd") && Self.files.get().count >= 18)
  }

  /// Without its data, the paper's configuration says in words what ``Configuration/paper`` has.
  @Test func theConfigurationOfThePaperIsThePapers() throws {
    let path = repository.appending(path: "configs/dffd.yaml")
    let text = try String(contentsOf: path, encoding: .utf8)
    let paper = try Configuration.parse(text, name: path.path, overrides: [])
    let known = Configuration.paper
    #expect(paper.model == known.model)
    #expect(paper.training == known.training)
    #expect(paper.augmentation.blocks == known.augmentation.blocks)
    #expect(paper.augmentation.method == known.augmentation.method)
    #expect(paper.augmentation.probability == known.augmentation.probability)
    #expect(paper.augmentation.fill == known.augmentation.fill)
    #expect(paper.data.crop == known.data.crop)
    #expect(paper.run.seed == known.run.seed)
    let differences = Configuration().differences(from: .paper).map(\.key)
    #expect(differences == ["augmentation.probability"])
  }
}
