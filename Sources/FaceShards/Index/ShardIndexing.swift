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

  /// Shards that are opened before they are added to the index: what is known of them is small, and the
  /// files are closed again.
  private static let together = 64

  static func bytes(paths: [String]) throws -> [UInt8] {
    precondition(!paths.isEmpty, "a set has at least one shard")
    var builder = ShardIndexBuilder()
    for start in stride(from: 0, to: paths.count, by: together) {
      let part = Array(paths[start..<min(start + together, paths.count)])
      for found in validated(part) {
        let shard = try found.get()
        try builder.add(shard.facts, methods: shard.methods)
      }
    }
    return try builder.finish()
  }

  private struct Found: Sendable {
    var facts: ShardFacts
    var methods: [UInt8]
  }

  /// The walks through the files go on beside one another, and beside the library, whose calls come one after
  /// another.
  private static func validated(_ paths: [String]) -> [Result<Found, any Error>] {
    let results = Mutex([Result<Found, any Error>?](repeating: nil, count: paths.count))
    DispatchQueue.concurrentPerform(iterations: paths.count) { place in
      let result = Result {
        let shard = try ValidatedShard(reading: paths[place])
        return Found(facts: shard.facts, methods: shard.methods)
      }
      results.withLock { $0[place] = result }
      RankStatus.progress()
    }
    return results.withLock { $0.map { $0! } }
  }
}
