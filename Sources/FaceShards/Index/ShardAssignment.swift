import Foundation
import Foundations
import MessagePassing
import Synchronization

// Assignment of whole shards to ranks (`data.assignment: shard`), for disks that belong to a node.
//
// One rank of each node opens what its disk holds under the patterns, ranks exchange what they see, of
// those that see the same one, and each distinct shard goes to exactly one of the ranks that see it. Shards are told apart by
// name and content, not by path or node: a copy of the same shard on every node is one shard, and
// different shards of the same name are different ones. So it makes no difference whether the disks
// are shared, hold copies, or hold parts.
//
// Unlike with `sample`, the order of samples is each rank's own, and changes with the number of
// ranks.

/// What one rank tells the others about a shard that it sees.
public struct ShardIdentity: Codable, Hashable, Sendable {
  /// The file's name without its folder.
  public var name: String
  /// A digest of labels, methods, and the first and last images.
  public var digest: UInt64
  public var count: Int
  public var height: Int
  public var width: Int
  public var methodNames: [String]

  /// Several identities as bytes, to be gathered over ranks.
  public static func encode(_ identities: [ShardIdentity]) throws -> [UInt8] {
    Array(try JSONEncoder().encode(identities))
  }

  public static func decode(_ bytes: [UInt8]) throws -> [ShardIdentity] {
    try JSONDecoder().decode([ShardIdentity].self, from: Data(bytes))
  }

  static func precedes(_ a: ShardIdentity, _ b: ShardIdentity) -> Bool {
    a.name == b.name
      ? a.digest < b.digest : a.name.utf8.lexicographicallyPrecedes(b.name.utf8)
  }
}

/// FNV-1a by bytes: checkpoints keep it, so it stays apart from `ContentsDigest`, which goes by words.
struct Fingerprint {
  var value: UInt64 = 0xCBF2_9CE4_8422_2325

  mutating func add(_ bytes: some Sequence<UInt8>) {
    for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
  }
  mutating func add(_ numbers: [Int]) {
    for number in numbers {
      withUnsafeBytes(of: number.littleEndian) { add($0) }
    }
  }
}

extension ShardSet {
  /// What this rank sees, in the order of `shards`.
  public func identities() throws -> [ShardIdentity] {
    // Twice as many as a training reads with: nothing else is done meanwhile.
    let digests = Mutex([UInt64](repeating: 0, count: shards.count))
    let readers = ImageReaders(
      count: min(2 * ImageReaders.usual, shards.count), imageSize: imageSize)
    try readers.forEach(shards.count) { i, image in
      // Of labels and methods.
      var fingerprint = Fingerprint(value: index[i].columns)
      let count = shards[i].count
      for row in Set([0, count - 1]).sorted() where row >= 0 && count > 0 {
        try image.withUnsafeMutableBufferPointer { try readImage(starts[i] + row, into: $0) }
        fingerprint.add(image)
      }
      digests.withLock { $0[i] = fingerprint.value }
      RankStatus.progress()
    }
    let found = digests.withLock { $0 }
    return shards.indices.map { i in
      let (shard, record) = (shards[i], index[i])
      // By bytes: a name may begin with a mark, which makes another character of the "/".
      let name = BytePath(shard.path).components.last ?? []
      return ShardIdentity(
        name: String(decoding: name, as: UTF8.self), digest: found[i], count: shard.count,
        height: height, width: width,
        methodNames: index.texts.nameLists[record.names])
    }
  }

  /// This rank's part of what all ranks see: every distinct shard goes to one of the ranks that see
  /// it, so that all have about the same number of samples.
  ///
  /// The result numbers the methods by the names of all shards of all ranks, and its
  /// ``identifier(of:)`` is unique over ranks.
  ///
  /// - Parameters:
  ///   - rank: this rank.
  ///   - seen: different lists of ``identities()`` that ranks have.
  ///   - lists: which of them each rank has; nil if every rank has the one of its number.
  public func assigned(
    rank: Int, seen: [[ShardIdentity]], lists: [Int]? = nil
  ) throws -> ShardSet {
    let lists = lists ?? Array(seen.indices)
    precondition(
      lists.indices.contains(rank) && lists.allSatisfy(seen.indices.contains),
      "rank \(rank) of \(lists.count)")
    let assignment = try ShardAssignment(seen: seen, lists: lists)
    var mine = ShardIndexBuilder()
    var identifierStarts: [Int] = []
    // Two names on one node with one identity are the same shard twice.
    var taken = Set<ShardIdentity>()
    for (i, identity) in seen[lists[rank]].enumerated() where assignment.rank(of: identity) == rank
    {
      guard taken.insert(identity).inserted else { continue }
      try mine.add(shards[i].facts, methods: shards[i].methods, digest: index[i].columns)
      identifierStarts.append(assignment.starts[identity]!)
    }
    return try ShardSet(
      bytes: mine.finish(methodNames: assignment.methodNames), identifierStarts: identifierStarts)
  }
}

/// Which rank reads which shard. The same on every rank.
struct ShardAssignment {
  /// Number of each distinct shard's first sample among the samples of all.
  let starts: [ShardIdentity: Int]
  let methodNames: [String]
  private let owners: [ShardIdentity: Int]

  /// Throws if images differ in size over ranks, and if a rank would get no image.
  ///
  /// - Parameters:
  ///   - seen: different lists of shards.
  ///   - lists: which of them each rank sees.
  init(seen: [[ShardIdentity]], lists: [Int]) throws {
    let distinct = Set(seen.joined()).sorted(by: ShardIdentity.precedes)
    if let first = distinct.first,
      let other = distinct.first(where: { $0.height != first.height || $0.width != first.width })
    {
      throw ShardError(
        file: other.name,
        reason: "images are \(other.height)x\(other.width) pixels, but \(first.height)x"
          + "\(first.width) in \(first.name) of another rank")
    }
    var starts: [ShardIdentity: Int] = [:]
    var total = 0
    for shard in distinct {
      starts[shard] = total
      total += shard.count
    }
    // Large shards first, each to the rank with the fewest samples among those that see it; of
    // equals the one with the fewest shards, then the lowest.
    var ranks = seen.map { _ in [Load]() }
    for (rank, list) in lists.enumerated() { ranks[list].append(Load(rank: rank)) }
    var seeing: [ShardIdentity: [Int]] = [:]
    for (list, shards) in seen.enumerated() where !ranks[list].isEmpty {
      for shard in Set(shards) { seeing[shard, default: []].append(list) }
    }
    var owners: [ShardIdentity: Int] = [:]
    let bySize = distinct.sorted {
      $0.count == $1.count ? ShardIdentity.precedes($0, $1) : $0.count > $1.count
    }
    for shard in bySize {
      let list = seeing[shard]!.min { ranks[$0][0] < ranks[$1][0] }!
      owners[shard] = ranks[list][0].rank
      Self.add(shard, toFirstOf: &ranks[list])
    }
    if let poor = ranks.joined().filter({ $0.samples == 0 }).map(\.rank).min() {
      throw ShardError(
        file: seen[lists[poor]].first?.name ?? "rank \(poor)",
        reason: "there are \(distinct.count) shards for \(lists.count) ranks, and none is left for "
          + "rank \(poor); use data.assignment: sample, fewer ranks, or more and smaller shards")
    }
    self.starts = starts
    self.owners = owners
    methodNames = ShardSet.union(distinct.map(\.methodNames))
  }

  func rank(of shard: ShardIdentity) -> Int? { owners[shard] }

  /// What a rank has so far.
  private struct Load: Comparable {
    var samples = 0
    var shards = 0
    let rank: Int

    static func < (a: Load, b: Load) -> Bool {
      (a.samples, a.shards, a.rank) < (b.samples, b.shards, b.rank)
    }
  }

  /// Ranks stay sorted: the one with the fewest samples is the first.
  private static func add(_ shard: ShardIdentity, toFirstOf ranks: inout [Load]) {
    var load = ranks.removeFirst()
    load.samples += shard.count
    load.shards += 1
    var (low, high) = (0, ranks.count)
    while low < high {
      let middle = (low + high) / 2
      if ranks[middle] < load { low = middle + 1 } else { high = middle }
    }
    ranks.insert(load, at: low)
  }
}
