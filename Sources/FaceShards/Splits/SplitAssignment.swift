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
    let open = layout.candidates.filter { $0.split == nil }
    if layout.splits.isEmpty {
      let shares = shares ?? .standard
      splits = shares.names
      let splitOfSource = Self.deal(open, layout, shares: shares, seed: seed)
      splitOf = layout.candidates.map { splitOfSource[$0.source] }
    } else if open.isEmpty {
      splits = layout.splits
      splitOf = layout.candidates.map { layout.splits.firstIndex(of: $0.split!)! }
      if shares != nil {
        notes.append(
          "\(layout.splitsBy ?? "the layout") says the splits \(layout.splits.joined(separator: ", "));"
            + " --split is not used")
      }
    } else {
      // An official split wins; of the others all are for training, or dealt out.
      let rest = try Self.rest(of: shares, besides: layout.splits, layout)
      let all = Self.ordered(layout.splits + rest.names)
      let splitOfSource = Self.deal(open, layout, shares: rest, seed: seed)
      let places = rest.names.map { all.firstIndex(of: $0)! }
      splits = all
      splitOf = layout.candidates.map { candidate in
        candidate.split.map { all.firstIndex(of: $0)! } ?? places[splitOfSource[candidate.source]]
      }
    }
    for split in splits.indices { try check(split, layout) }
  }

  /// The shares of what an official split does not name: those of other names, made to add up to 1.
  private static func rest(
    of shares: SplitShares?, besides taken: [String], _ layout: PackLayout
  ) throws -> SplitShares {
    guard let shares else { return .training }
    guard let rest = shares.without(taken) else {
      throw PackError.usage(
        "--split: \(taken.joined(separator: ", ")) is said by \(layout.splitsBy ?? "the layout"); name"
          + " the shares of the others, as in train=0.9,validation=0.1")
    }
    return rest
  }

  /// The usual splits in their usual order, then others.
  private static func ordered(_ names: [String]) -> [String] {
    var all = FolderRole.splits.filter { names.contains($0) }
    for name in names where !all.contains(name) { all.append(name) }
    return all
  }

  /// Requires both classes, and says which methods are missing.
  private mutating func check(_ split: Int, _ layout: PackLayout) throws {
    let members = candidates.indices.filter { splitOf[$0] == split }
    for isFake in [false, true]
    where !members.contains(where: { candidates[$0].isFake == isFake }) {
      let name = splits[split]
      guard !layout.splits.contains(name) else {
        let remedy =
          layout.kind == .folders
          ? "put some into \(name)/\(isFake ? "fake/METHOD/" : "real/")"
          : "\(layout.splitsBy ?? "the layout") says so"
        throw PackError.badData(
          "split \(name) would have no \(isFake ? "fake" : "real") images: \(remedy); there are"
            + " \(LayoutFiles.describe(members.map { candidates[$0].path }))")
      }
      let own = candidates.filter { $0.isFake == isFake }
      let groups = Set(own.map { layout.groups[$0.source] }).count
      throw PackError.badData(
        "split \(name) would have no \(isFake ? "fake" : "real") images: there are too few sources"
          + " for these shares (images: \(own.count), sources: \(groups), such as \(own[0].path));"
          + " give more, or change --split (test=1 makes one split of all)"
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
  private static func deal(
    _ candidates: [PackCandidate], _ layout: PackLayout, shares: SplitShares, seed: UInt64
  ) -> [Int] {
    var imagesOf = [Int](repeating: 0, count: layout.sources.count)
    var methodsOf = [Set<Int>](repeating: [], count: layout.sources.count)
    for candidate in candidates {
      imagesOf[layout.groups[candidate.source]] += 1
      methodsOf[layout.groups[candidate.source]].insert(candidate.method)
    }
    // A group goes by the name that comes first in it.
    var names: [Int: String] = [:]
    for (source, group) in layout.groups.enumerated() where imagesOf[group] > 0 {
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
