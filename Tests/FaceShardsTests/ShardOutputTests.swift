import Foundation
import TestSupport
import Testing

@testable import FaceShards

@Suite struct ShardOutputTests {
  private let folder: TemporaryFolder

  init() throws { folder = TemporaryFolder() }

  /// A shard whose images all come from `source`.
  private func write(_ path: String, _ source: String) throws {
    let writer = try ShardWriter(path: path, height: 8, width: 8, methodNames: ["real", "swap"])
    for row in 0..<2 {
      try writer.append(
        image: KnownImage.pixels(row, height: 8, width: 8), method: row, source: source)
    }
    try writer.finish()
  }

  /// An earlier data set of four shards, and a later one of three that waits to replace it; one of
  /// the later names is new, two of the earlier have no successor.
  private func open() throws -> (
    output: ShardOutput, shards: [(staged: String, name: String)], splits: [String]
  ) {
    for name in ["train-00000.h5", "train-00001.h5", "train-00002.h5", "test-00000.h5"] {
      try write(folder(name), "old")
    }
    let output = try ShardOutput(opening: folder.path)
    try output.stage()
    let shards = [
      (staged: "0.h5", name: "train-00000.h5"), (staged: "1.h5", name: "test-00000.h5"),
      (staged: "2.h5", name: "test-00001.h5"),
    ]
    for shard in shards { try write("\(output.staging)/\(shard.staged)", "new") }
    return (output, shards, ["train", "test"])
  }

  /// The sources that a reader of all shards sees; nil where it is refused.
  private func seen() throws -> Set<String>? {
    do {
      return Set(try ShardSet(patterns: [folder("*.h5")]).readSources())
    } catch let error as ShardError {
      #expect(error.description.contains("being replaced"), "\(error)")
      #expect(error.description.hasPrefix(folder.path), "\(error)")
      return nil
    }
  }

  private static let after = ["test-00000.h5", "test-00001.h5", "train-00000.h5"]

  @Test func allTakeTheirNamesAndTheOldOnesGo() throws {
    let (output, shards, splits) = try open()
    try output.publish(shards, of: splits)
    #expect(try folder.contents() == [".packing.lock"] + Self.after)
    #expect(try seen() == ["new"])
  }

  /// What a job must know of them is known without opening one.
  @Test func ofManyShardsTheIndexIsKeptUntilOthersTakeTheirPlace() throws {
    let output = try ShardOutput(opening: folder.path)
    func publish(_ count: Int) throws -> [String] {
      try output.stage()
      let names = (0..<count).map { String(format: "train-%05d.h5", $0) }
      for name in names { try write("\(output.staging)/\(name)", "new") }
      try output.publish(names.map { (staged: $0, name: $0) }, of: ["train"])
      return try folder.contents().filter { $0.hasPrefix(".rfm-index-") }
    }
    #expect(try publish(ShardOutput.indexedFrom).count == 1)
    // Damage that nobody sees who does not open it.
    try ShardFixtures.damageUnseen(folder("train-00007.h5"))
    #expect(try ShardSet(patterns: [folder("train-*.h5")]).count == 2 * ShardOutput.indexedFrom)
    #expect(try publish(3) == [])
    #expect(try ShardSet(patterns: [folder("train-*.h5")]).count == 6)
  }

  /// Cut off after every single change: before the decision all is old; after it readers are refused
  /// and the next job completes the exchange.
  @Test(arguments: 0...7)
  func aKillBetweenTwoChangesLeavesNoMixture(changes: Int) throws {
    do {
      let (output, shards, splits) = try open()
      #expect(try seen() == ["old"])
      try output.decide(shards, of: splits)
      #expect(try seen() == nil)
      // Three names, two removals and the note itself.
      try output.complete(stoppingAfter: changes)
      #expect(try seen() == (changes < 6 ? nil : ["new"]))
      // A job that gives up must not take away what is decided.
      output.abandon()
    }
    do { _ = try ShardOutput(opening: folder.path) }
    #expect(try folder.contents() == Self.after)
    #expect(try seen() == ["new"])
  }

  @Test func aKillBeforeTheDecisionLeavesTheOldShards() throws {
    do { _ = try open() }
    #expect(try seen() == ["old"])
    #expect(try folder.contents().contains(".packing"))
    do {
      let next = try ShardOutput(opening: folder.path)
      next.abandon()
    }
    #expect(try seen() == ["old"])
    #expect(try folder.contents().filter { $0.hasPrefix(".") } == [])
  }

  @Test func anExchangeThatCannotBeCompletedChangesNothing() throws {
    do {
      let (output, shards, splits) = try open()
      try output.decide(shards, of: splits)
      try FileManager.default.removeItem(atPath: output.staging + "/2.h5")
    }
    let before = try folder.contents()
    let error = #expect(throws: ShardError.self) { try ShardOutput(opening: folder.path) }
    #expect(error?.description.contains("2.h5, which was to become test-00001.h5, is gone") == true)
    #expect(try folder.contents() == before)
    #expect(try seen() == nil)
  }

  @Test(arguments: [
    "", "rubbish", "rfm-shards 1\nput 0.h5 train-00000.h5\n",
    "rfm-shards 1\nput ../x.h5 train-00000.h5\nend\n", "rfm-shards 1\nremove /etc/passwd\nend\n",
    "rfm-shards 1\nput 0.h5\nend\n",
  ])
  func aDamagedNoteOfAnExchangeIsRefused(text: String) throws {
    do { _ = try open() }
    try Data(text.utf8).write(to: URL(fileURLWithPath: folder(".packing/commit")))
    let before = try folder.contents()
    let error = #expect(throws: ShardError.self) { try ShardOutput(opening: folder.path) }
    #expect(error?.description.contains("it is not what rfm writes") == true)
    #expect(try folder.contents() == before)
  }

  @Test func aShardThatIsALinkIsRefusedWithTheFolderItLiesIn() throws {
    let (output, shards, splits) = try open()
    try output.decide(shards, of: splits)
    let other = TemporaryFolder()
    try FileManager.default.createSymbolicLink(
      atPath: other("a.h5"), withDestinationPath: folder("train-00001.h5"))
    let error = #expect(throws: ShardError.self) { try ShardSet(patterns: [other("a.h5")]) }
    #expect(error?.description.contains("being replaced") == true)
  }

  /// The whole exchange falls between two shards being opened.
  @Test func shardsReplacedWhileTheyAreOpenedAreNoticed() throws {
    let (output, shards, splits) = try open()
    let paths = try FilePattern.expand([folder("*.h5")])
    let before = ShardOutput.identities(paths)
    #expect(ShardOutput.identities(paths) == before)
    try output.publish(shards, of: splits)
    #expect(ShardOutput.identities(paths) != before)
  }

  @Test func shardsAreToldFromOtherFiles() throws {
    for name in [
      "train-0.h5", "train-00001.h5", "train-x.h5", "train-.h5", "train-1.txt", "dev-00000.h5",
      "-0.h5", "other.h5",
    ] {
      try Data().write(to: URL(fileURLWithPath: folder(name)))
    }
    let output = try ShardOutput(opening: folder.path)
    #expect(try output.shards(of: ["train", "test"]) == ["train-0.h5", "train-00001.h5"])
    #expect(try output.shards(besides: ["train", "test"]) == ["dev-00000.h5"])
  }
}
