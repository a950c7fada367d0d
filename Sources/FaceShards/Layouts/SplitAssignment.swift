import Foundations
import Tensors

/// Which split every candidate is for: as the layout says, else dealt out by shares, so that no source
/// and no group of sources is in two splits.
struct SplitAssignment {
  let methods: [String]
  let sources: [String]
  let splits: [String]
  let candidates: [PackCandidate]
  /// Of every candidate the place of its split in ``splits``.
  let splitOf: [Int]
  private(set) var notes: [String]

  /// - Parameters:
  ///   - shares: used where the layout says no splits; nil for the usual ones.
  ///   - seed: decides which source goes into which split.
  /// - Throws: ``PackError`` if a split would lack a class.
  init(layout: PackLayout, shares: SplitShares?, seed: UInt64) throws {
    methods = layout.methods
    sources = layout.sources
    candidates = layout.candidates
    notes = layout.notes
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
    for split in splits.indices { try check(split, layout) }
  }

  /// Requires both classes, and says which methods are missing.
  private mutating func check(_ split: Int, _ layout: PackLayout) throws {
    let members = candidates.indices.filter { splitOf[$0] == split }
    for isFake in [false, true]
    where !members.contains(where: { candidates[$0].isFake == isFake }) {
      let name = splits[split]
      guard layout.splits.isEmpty else {
        throw PackError.badData(
          "split \(name) would have no \(isFake ? "fake" : "real") images: put some into"
            + " \(name)/\(isFake ? "fake/METHOD/" : "real/"); there are"
            + " \(PackLayout.describe(members.map { candidates[$0].path }))")
      }
      let own = candidates.filter { $0.isFake == isFake }
      let groups = Set(own.map { layout.groups[$0.source] }).count
      throw PackError.badData(
        "split \(name) would have no \(isFake ? "fake" : "real") images: there are too few sources"
          + " for these shares (images: \(own.count), sources: \(groups), such as \(own[0].path));"
          + " give more, or change --split"
          + (layout.isGrouped ? ", or take every name as a source with --group none" : ""))
    }
    let missing = methods.indices.dropFirst().filter { method in
      !members.contains { candidates[$0].method == method }
    }
    if !missing.isEmpty {
      let names = missing.map { methods[$0] }.joined(separator: ", ")
      notes.append("split \(splits[split]) has no images of \(names)")
    }
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
