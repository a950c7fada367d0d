import Foundation
import Foundations
import HierarchicalData
import MessagePassing
import Synchronization

extension ShardIndex {
  /// Opens and validates the shards that match `patterns`, several at once, and tells the watchdog of every
  /// one.
  ///
  /// - Parameter usesFile: an index that is kept beside the shards and fits to them is taken instead.
  /// - Throws: what ``ShardSet/init(patterns:openLimit:)`` throws.
  static func bytes(patterns: [String], usesFile: Bool = true) throws -> [UInt8] {
    let paths = try FilePattern.expand(patterns)
    try ShardOutput.requireSettled(paths)
    let before = ShardOutput.identities(paths)
    let kept = usesFile ? ShardIndexFile.index(of: paths) : nil
    let bytes = try kept ?? bytes(paths: paths)
    // All are of one data set, and all of it: none was replaced, added or removed meanwhile.
    try ShardOutput.requireSettled(paths)
    guard try FilePattern.expand(patterns) == paths, ShardOutput.identities(paths) == before else {
      throw ShardError(
        file: patterns[0],
        reason: "the shards were replaced by others while they were opened; start again")
    }
    return bytes
  }

  /// Shards that are examined at a time, while the library opens those before.
  private static let together = 64

  static func bytes(paths: [String]) throws -> [UInt8] {
    precondition(!paths.isEmpty, "a set has at least one shard")
    var builder = ShardIndexBuilder()
    let parts = stride(from: 0, to: paths.count, by: together).map {
      Array(paths[$0..<min($0 + together, paths.count)])
    }
    var next = Examination(of: parts[0])
    for part in parts.indices {
      let files = next.files()
      if part + 1 < parts.count { next = Examination(of: parts[part + 1]) }
      for file in files {
        let shard = try ValidatedShard(file.get())
        try builder.add(shard.facts, methods: shard.methods)
        RankStatus.progress()
      }
    }
    return try builder.finish()
  }

  /// The walks through some files, which go on beside one another and beside the library: the thread that calls
  /// the library never hands it over.
  private final class Examination: Sendable {
    private let results: Mutex<[Result<ExaminedFile, any Error>?]>
    private let group = DispatchGroup()

    init(of paths: [String]) {
      results = Mutex([Result<ExaminedFile, any Error>?](repeating: nil, count: paths.count))
      DispatchQueue.global().async(group: group) { [self] in
        DispatchQueue.concurrentPerform(iterations: paths.count) { place in
          let result = Result<ExaminedFile, any Error> { try ExaminedFile(paths[place]) }
          results.withLock { $0[place] = result }
        }
      }
    }

    /// Waits for the walks; in the order of the paths.
    func files() -> [Result<ExaminedFile, any Error>] {
      group.wait()
      return results.withLock { $0.map { $0! } }
    }
  }
}
