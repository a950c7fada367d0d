import Foundations
import Tensors

/// The parts a data set is cut into, and how large each is: `train=0.7,validation=0.15,test=0.15`.
public struct SplitShares: Sendable, Equatable {
  public let names: [String]
  /// Add up to 1.
  public let shares: [Double]

  public static let standard = SplitShares(
    names: ["train", "validation", "test"], shares: [0.7, 0.15, 0.15])

  private init(names: [String], shares: [Double]) {
    self.names = names
    self.shares = shares
  }

  /// Throws ``PackError/usage(_:)`` that quotes what is wrong.
  public init(parsing text: String) throws {
    var names: [String] = []
    var shares: [Double] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let halves = part.split(separator: "=", omittingEmptySubsequences: false)
      guard halves.count == 2, let share = Double(halves[1]), share > 0, share <= 1 else {
        throw PackError.usage(
          "split \"\(part)\": expected NAME=SHARE with a share above 0 and at most 1,"
            + " as in train=0.7,validation=0.15,test=0.15")
      }
      let name = String(halves[0])
      let isPlain = name.unicodeScalars.allSatisfy {
        $0.isASCII && ($0.properties.isAlphabetic || $0.properties.numericType != nil || $0 == "_")
      }
      guard !name.isEmpty, isPlain else {
        throw PackError.usage(
          "split name \"\(name)\": use letters, digits and _; it begins the shards' file names")
      }
      guard !names.contains(name) else {
        throw PackError.usage("split \"\(name)\" is given twice")
      }
      names.append(name)
      shares.append(share)
    }
    let sum = shares.reduce(0, +)
    guard abs(sum - 1) < 1e-3 else {
      throw PackError.usage("the shares of \"\(text)\" add up to \(sum), not to 1")
    }
    self.names = names
    self.shares = shares.map { $0 / sum }
  }
}

/// Which image goes into which shard: decided from names alone, before any is decoded, so that it
/// does not depend on ranks or threads.
struct PackPlan: Equatable {
  struct Item: Equatable {
    /// Below the input folder.
    var path: BytePath
    var method: Int
    var source: Int
    var isVideo = false
    /// The file that shows what was forged.
    var mask: BytePath?
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

  /// - Parameter framesPerVideo: images that a video is expected to give.
  init(
    layout: PackLayout, shares: SplitShares?, seed: UInt64, imagesPerShard: Int,
    framesPerVideo: Int = 1
  ) throws {
    methods = layout.methods
    sources = layout.sources
    notes = layout.notes
    items = []
    shards = []
    let splitOf: [Int]
    if layout.splits.isEmpty {
      let shares = shares ?? .standard
      splits = shares.names
      let splitOfSource = Self.deal(layout: layout, shares: shares, seed: seed)
      splitOf = layout.candidates.map { splitOfSource[$0.source] }
    } else {
      splits = layout.splits
      splitOf = layout.candidates.map { $0.split! }
      if shares != nil {
        notes.append(
          "the folders \(layout.splits.joined(separator: ", ")) say the splits; --split is not used"
        )
      }
    }
    for split in splits.indices {
      var members = layout.candidates.indices.filter { splitOf[$0] == split }
      for isFake in [false, true]
      where !members.contains(where: { layout.candidates[$0].isFake == isFake }) {
        let name = splits[split]
        guard layout.splits.isEmpty else {
          throw PackError.badData(
            "split \(name) would have no \(isFake ? "fake" : "real") images: put some into"
              + " \(name)/\(isFake ? "fake/METHOD/" : "real/"); there are"
              + " \(PackLayout.describe(members.map { layout.candidates[$0].path }))")
        }
        let own = layout.candidates.filter { $0.isFake == isFake }
        let groups = Set(own.map { layout.groups[$0.source] }).count
        throw PackError.badData(
          "split \(name) would have no \(isFake ? "fake" : "real") images: there are too few sources"
            + " for these shares (images: \(own.count), sources: \(groups), such as \(own[0].path));"
            + " give more, or change --split"
            + (layout.isGrouped ? ", or take every name as a source with --group none" : ""))
      }
      let missing = methods.indices.dropFirst().filter { method in
        !members.contains { layout.candidates[$0].method == method }
      }
      if !missing.isEmpty {
        let names = missing.map { methods[$0] }.joined(separator: ", ")
        notes.append("split \(splits[split]) has no images of \(names)")
      }
      // Mixed, so that each shard holds every class: a rank may see only some shards.
      var order = CounterGenerator(seed: seed, epoch: UInt64(1 + split), purpose: .split)
      for last in stride(from: members.count - 1, to: 0, by: -1) {
        members.swapAt(last, order.below(last + 1))
      }
      let start = items.count
      items += members.map {
        let candidate = layout.candidates[$0]
        return Item(path: candidate.path, method: candidate.method, source: candidate.source)
      }
      shards += Self.cut(
        start..<items.count, faces: { items[$0].isVideo ? framesPerVideo : 1 },
        perShard: imagesPerShard
      ).map { Shard(split: split, range: $0) }
    }
  }

  /// Cuts a split into shards that are about equally large and hold about `perShard` faces at most.
  private static func cut(_ items: Range<Int>, faces: (Int) -> Int, perShard: Int) -> [Range<Int>] {
    let total = items.reduce(0) { $0 + faces($1) }
    let count = max(1, (total + perShard - 1) / perShard)
    var ranges: [Range<Int>] = []
    var (start, before) = (items.lowerBound, 0)
    for item in items {
      before += faces(item)
      let end = total * (ranges.count + 1) / count
      if before >= end || item + 1 == items.upperBound {
        ranges.append(start..<item + 1)
        start = item + 1
      }
    }
    return ranges
  }

  /// The split of every source. Groups of sources (``PackLayout/groups``) that occur in the same
  /// methods are dealt out together, each to the split that is furthest behind its share, so that
  /// every split has about its share of every method, and all images of a group stay in one split.
  private static func deal(layout: PackLayout, shares: SplitShares, seed: UInt64) -> [Int] {
    var imagesOf = [Int](repeating: 0, count: layout.sources.count)
    var methodsOf = [Set<Int>](repeating: [], count: layout.sources.count)
    for candidate in layout.candidates {
      imagesOf[layout.groups[candidate.source]] += 1
      methodsOf[layout.groups[candidate.source]].insert(candidate.method)
    }
    // A group goes by the name that comes first in it.
    var names: [Int: String] = [:]
    for (source, group) in layout.groups.enumerated() {
      names[group] = min(names[group] ?? layout.sources[source], layout.sources[source])
    }
    let alike = Dictionary(grouping: names.keys) { methodsOf[$0].sorted() }
    var order = CounterGenerator(seed: seed, epoch: 0, purpose: .split)
    var splitOf = [Int](repeating: 0, count: layout.sources.count)
    let splits = shares.names.indices
    // How many images each split is behind its share so far, over all groups.
    var behind = [Double](repeating: 0, count: splits.count)
    for key in alike.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
      var members = alike[key]!.sorted { names[$0]! < names[$1]! }
      for last in stride(from: members.count - 1, to: 0, by: -1) {
        members.swapAt(last, order.below(last + 1))
      }
      var behindHere = [Double](repeating: 0, count: splits.count)
      for source in members {
        let images = Double(imagesOf[source])
        for split in splits {
          behind[split] += shares.shares[split] * images
          behindHere[split] += shares.shares[split] * images
        }
        let chosen = splits.max {
          let (left, right) = (behind[$0] + behindHere[$0], behind[$1] + behindHere[$1])
          return left != right ? left < right : $0 > $1
        }!
        splitOf[source] = chosen
        behind[chosen] -= images
        behindHere[chosen] -= images
      }
    }
    return layout.groups.map { splitOf[$0] }
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
      put(item.isVideo ? 1 : 0)
      put(item.path.bytes)
      put(item.mask?.bytes ?? [])
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
      let isVideo = number() == 1
      let path = BytePath(bytes: field())
      let mask = field()
      return Item(
        path: path, method: method, source: source, isVideo: isVideo,
        mask: mask.isEmpty ? nil : BytePath(bytes: mask))
    }
  }
}
