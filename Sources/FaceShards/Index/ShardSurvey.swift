import Foundations
import HierarchicalData

/// A quick look at the shards of a data set: names and sizes of all, contents of some, evenly chosen, so
/// that it takes a moment however many there are. Two hosts that have the same shards find the same.
public struct ShardSurvey: CustomStringConvertible {
  /// The most shards that are opened.
  static let opened = 32

  /// Those that were opened.
  public let set: ShardSet
  /// Of what was looked at; with its number of images those of the opened shards are meant.
  public let fingerprint: ShardFingerprint
  private let shards: Int
  private let bytes: Int

  /// Throws what opening shards throws.
  public init(_ patterns: [String]) throws {
    let paths = try FilePattern.expand(patterns)
    let chosen = stride(
      from: 0, to: paths.count, by: (paths.count + Self.opened - 1) / Self.opened
    ).map { paths[$0] }
    set = try ShardSet(paths: chosen)
    shards = paths.count
    var digest = ContentsDigest()
    var bytes = 0
    for path in paths {
      guard let identity = FileStamp(of: path) else {
        throw ShardError(file: path, reason: "it went away meanwhile", isInputOutput: true)
      }
      bytes += identity.size
      digest.add(BytePath(path).components.last ?? [])
      digest.add("\(identity.size)")
    }
    self.bytes = bytes
    for shard in try set.identities() { digest.add("\(shard.name) \(shard.count) \(shard.digest)") }
    digest.add("\(try set.fingerprint())")
    fingerprint = ShardFingerprint(images: set.count, shards: shards, digest: digest.value)
  }

  /// As in "43 images of 24x24 pixels in 3 shards, 0123456789abcdef", or of very many shards "10000 shards
  /// of 1234567 bytes, of 24x24 pixels in the 32 looked at, 0123456789abcdef".
  public var description: String {
    let (size, digits) = (
      "\(set.height)x\(set.width) pixels", String(fingerprint.digest, radix: 16)
    )
    let digest = String(repeating: "0", count: 16 - digits.count) + digits
    return shards == set.shards.count
      ? "\(set.count) images of \(size) in \(shards) shard\(shards == 1 ? "" : "s"), \(digest)"
      : "\(shards) shards of \(bytes) bytes, of \(size) in the \(set.shards.count) looked at, \(digest)"
  }
}
