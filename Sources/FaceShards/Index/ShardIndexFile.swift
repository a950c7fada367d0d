import Foundation
import Foundations
import HierarchicalData

/// An index that is kept beside its shards, so that the next job need not open any of them to begin.
///
/// It is a hidden file in the folder of the first shard, called by a digest of the shards' names, and holds
/// the bytes of a ``ShardIndex`` with a digest behind them. It counts as long as all shards have the size and
/// the time of writing that it tells of them; a copy of a data set keeps them where times are copied too
/// (`cp --preserve`, `rsync --times`).
public struct ShardIndexFile: Sendable {
  public let path: String
  public let bytes: Int
  public let shards: Int
  public let images: Int

  /// Opens and validates the shards that match `patterns`, and writes their index, in place of one that is
  /// there.
  ///
  /// - Throws: what opening shards throws, `FileError`.
  public init(writing patterns: [String]) throws {
    let paths = try FilePattern.expand(patterns)
    let index = try ShardIndex(
      ShardIndex.Memory(copying: ShardIndex.bytes(patterns: patterns, usesFile: false)))
    var digest = ContentsDigest()
    digest.add(index.memory.bytes)
    path = Self.path(of: paths)
    bytes = index.memory.bytes.count + 8
    (shards, images) = (index.header.shards, index.header.samples)
    try DurableFile.write(to: path) { file in
      try file.write(index.memory.bytes)
      try withUnsafeBytes(of: digest.value.littleEndian) { try file.write($0) }
    }
  }

  private static func name(_ path: String) -> [UInt8] { BytePath(path).components.last ?? [] }

  static func path(of paths: [String]) -> String {
    var digest = ContentsDigest()
    for path in paths { digest.add(name(path)) }
    let digits = String(digest.value, radix: 16)
    return "\(DurableFile.folder(of: paths[0]))/.rfm-index-"
      + String(repeating: "0", count: 16 - digits.count) + digits
  }

  /// The index of the shards at `paths`, if one is kept and tells of these files as they are now.
  static func index(of paths: [String]) -> [UInt8]? {
    guard let data = FileManager.default.contents(atPath: path(of: paths)), data.count > 8 else {
      return nil
    }
    let bytes = [UInt8](data.dropLast(8))
    var digest = ContentsDigest()
    digest.add(bytes)
    let stored = data.suffix(8).reversed().reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
    guard stored == digest.value, let kept = try? ShardIndex(ShardIndex.Memory(copying: bytes)),
      kept.texts.paths.map(name) == paths.map(name)
    else { return nil }
    // The folder may have another path or another disk now.
    var texts = kept.texts
    texts.paths = paths
    var records = paths.indices.map { kept[$0] }
    for shard in paths.indices {
      guard let identity = FileStamp(of: paths[shard]), identity.size == records[shard].size,
        identity.modified == records[shard].modified
      else { return nil }
      (records[shard].device, records[shard].inode) = (identity.device, identity.inode)
    }
    let (methods, words) = (kept.header.methodStart, kept.header.wordStart)
    return try? ShardIndex.assemble(
      kept.header, records, texts,
      methods: .init(rebasing: kept.memory.bytes[methods..<methods + kept.header.samples]),
      words: .init(rebasing: kept.memory.bytes[words..<words + 4 * kept.header.wordCount]))
  }
}
