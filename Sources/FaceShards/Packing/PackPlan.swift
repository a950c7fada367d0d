import Foundations
import Tensors

/// Which image goes into which shard: decided from names alone, before any is decoded, so that it
/// does not depend on ranks or threads.
struct PackPlan: Equatable {
  struct Item: Equatable {
    var path: BytePath
    var method: Int
    var source: Int
  }

  struct Shard: Equatable {
    /// Place in ``splits``.
    var split: Int
    /// Range in ``items``.
    var range: Range<Int>
  }

  var methods: [String]
  var sources: [String]
  var splits: [String]
  /// In the order they are stored.
  var items: [Item]
  var shards: [Shard]
  var notes: [String]

  /// - Parameter assignment: every candidate has a split.
  init(_ assignment: SplitAssignment, seed: UInt64, imagesPerShard: Int) {
    methods = assignment.methods
    sources = assignment.sources
    splits = assignment.splits
    notes = assignment.notes
    items = []
    shards = []
    for split in splits.indices {
      var members = assignment.candidates.indices.filter {
        assignment.splitOf[$0] == split
      }
      // Mixed, so that each shard holds every class: a rank may see only some shards.
      var order = CounterGenerator(seed: seed, epoch: UInt64(1 + split), purpose: .split)
      for last in stride(from: members.count - 1, to: 0, by: -1) {
        members.swapAt(last, order.below(last + 1))
      }
      let count = (members.count + imagesPerShard - 1) / imagesPerShard
      let start = items.count
      for shard in 0..<count {
        let low = start + members.count * shard / count
        let high = start + members.count * (shard + 1) / count
        shards.append(Shard(split: split, range: low..<high))
      }
      items += members.map {
        let candidate = assignment.candidates[$0]
        return Item(path: candidate.path, method: candidate.method, source: candidate.source)
      }
    }
  }
}

/// A plan as bytes, to hand it to the other ranks. Names and paths hold no zero byte, so that every
/// field can end with one.
extension PackPlan {
  var encoded: [UInt8] {
    var bytes: [UInt8] = []
    func put(_ field: [UInt8]) {
      bytes += field
      bytes.append(0)
    }
    func put(_ number: Int) { put(Array(String(number).utf8)) }
    for list in [methods, sources, splits, notes] {
      put(list.count)
      for text in list { put(Array(text.utf8)) }
    }
    put(shards.count)
    for shard in shards {
      put(shard.split)
      put(shard.range.lowerBound)
      put(shard.range.upperBound)
    }
    put(items.count)
    for item in items {
      put(item.method)
      put(item.source)
      put(item.path.bytes)
    }
    return bytes
  }

  init(decoding bytes: [UInt8]) {
    var fields = bytes.split(separator: 0, omittingEmptySubsequences: false).makeIterator()
    func field() -> [UInt8] { Array(fields.next()!) }
    func number() -> Int { Int(String(decoding: field(), as: UTF8.self))! }
    func list() -> [String] { (0..<number()).map { _ in String(decoding: field(), as: UTF8.self) } }
    methods = list()
    sources = list()
    splits = list()
    notes = list()
    shards = (0..<number()).map { _ in
      let split = number()
      let low = number()
      return Shard(split: split, range: low..<number())
    }
    items = (0..<number()).map { _ in
      let method = number()
      let source = number()
      return Item(path: BytePath(bytes: field()), method: method, source: source)
    }
  }
}
