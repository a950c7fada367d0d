import Foundations
import Synchronization
import Tensors

// The order in which training sees samples.
//
// It is one endless sequence of draws for the whole job, and a position in it is a plain integer:
// the number of samples that all ranks together have taken. Nothing in it depends on ranks. A global
// batch of G samples at step s is positions s·G ..< (s + 1)·G, of which rank r of R takes the r-th
// contiguous part. To resume, begin at the saved position, with however many ranks.

/// One draw of the sequence.
public struct SampleDraw: Hashable, Sendable {
  /// Number of the sample in its ``ShardSet``.
  public var sample: Int
  /// How many times this sample was drawn before. (visit, sample) never repeats, so random draws
  /// for augmentation are keyed by it: it takes the place of the epoch in `CounterGenerator`.
  /// It equals the epoch except for the smaller class of a balanced order.
  public var visit: Int
}

/// What a training order does with the dataset.
public enum SampleOrderKind: String, Sendable, CaseIterable {
  /// Every sample once per epoch, reshuffled every epoch.
  case uniform
  /// Real and fake samples in turn, so that every batch of an even number is half real, half fake.
  /// An epoch covers the larger class once; the smaller one goes round as often as it is needed,
  /// reshuffled every time.
  case balanced
  /// As stored, wrapping round.
  case sequential
}

/// The endless sequence of samples of a training.
public struct SampleOrder: Sendable {
  public let kind: SampleOrderKind
  public let seed: UInt64
  /// Positions in an epoch.
  public let epochLength: Int

  /// The samples that are drawn from: all, or the real and the fake ones.
  private let classes: [[Int32]]
  private let shuffles: ShuffleCache

  /// - Parameters:
  ///   - labels: 0 real, 1 fake, of every sample.
  ///   - kind: see ``SampleOrderKind``.
  ///   - seed: the run's seed.
  ///   - includes: whether a sample is ever drawn; at least one is.
  ///
  /// Throws if a balanced order lacks a class.
  public init(
    labels: [UInt8], kind: SampleOrderKind, seed: UInt64,
    includes: (_ sample: Int) -> Bool = { _ in true }
  ) throws {
    precondition(!labels.isEmpty && labels.count < Int32.max, "an order has 1 to 2^31 - 2 samples")
    self.kind = kind
    self.seed = seed
    let all = (0..<Int32(labels.count)).filter { includes(Int($0)) }
    precondition(!all.isEmpty, "an order draws from at least one sample")
    switch kind {
    case .uniform, .sequential:
      classes = [all]
      epochLength = all.count
    case .balanced:
      classes = [all.filter { labels[Int($0)] == 0 }, all.filter { labels[Int($0)] != 0 }]
      for (members, name) in zip(classes, ["real", "fake"]) where members.isEmpty {
        throw MissingClassError(name: name, count: all.count)
      }
      epochLength = 2 * max(classes[0].count, classes[1].count)
    }
    shuffles = ShuffleCache(seed: seed)
  }

  /// The draw at a position of 0 or more.
  public func draw(at position: Int) -> SampleDraw {
    precondition(position >= 0, "positions are 0 or more")
    let (group, index) = position.quotientAndRemainder(dividingBy: classes.count)
    let members = classes[index]
    let (visit, place) = group.quotientAndRemainder(dividingBy: members.count)
    if kind == .sequential { return SampleDraw(sample: Int(members[place]), visit: visit) }
    let shuffled = shuffles.permutation(of: members.count, visit: visit, stratum: index)[place]
    return SampleDraw(sample: Int(members[Int(shuffled)]), visit: visit)
  }

  /// The epoch that a position lies in.
  public func epoch(at position: Int) -> Int { position / epochLength }

  /// Whether no draw from `start` on, up to a position, is of the sample that is drawn there.
  ///
  /// Between `start` and the position samples may come twice although each comes once in a visit: a
  /// smaller class, or the order of a rank with fewer samples than others, goes round within an epoch,
  /// and is shuffled anew each time.
  ///
  /// - Precondition: `start` is neither negative nor behind the position.
  public func isFirstDraw(at position: Int, since start: Int) -> Bool {
    precondition((0...position).contains(start), "position \(position) is before \(start)")
    let (group, index) = position.quotientAndRemainder(dividingBy: classes.count)
    // The class's first draw from `start` on.
    let first = start / classes.count + (index < start % classes.count ? 1 : 0)
    let count = classes[index].count
    let (visit, place) = group.quotientAndRemainder(dividingBy: count)
    if first >= visit * count { return true }
    // The visit before had all samples. If it began earlier, it may have had this one earlier too.
    let before = first - (visit - 1) * count
    if before <= 0 { return false }
    if kind == .sequential { return place < before }
    let sample = shuffles.permutation(of: count, visit: visit, stratum: index)[place]
    return shuffles.places(of: count, visit: visit - 1, stratum: index)[Int(sample)] < before
  }
}

/// A balanced order was asked for, but all samples are of one class.
public struct MissingClassError: ReportableError, Sendable {
  /// "real" or "fake".
  public let name: String
  /// How many samples there are.
  public let count: Int

  public var description: String {
    "data.sampling: balanced needs real and fake images, but none of the \(count) is \(name); add "
      + "some, or use data.sampling: uniform"
  }

  public var exitStatus: ExitStatus { .badData }
}

/// The permutations in use: one or two per class, for batches across the end of a round, and where
/// they put each sample.
private final class ShuffleCache: Sendable {
  private struct Key: Hashable {
    var count: Int
    var visit: Int
    var stratum: Int
    var isInverse: Bool
  }

  private let seed: UInt64
  private let entries = Mutex<[(key: Key, values: [Int32])]>([])

  init(seed: UInt64) { self.seed = seed }

  func permutation(of count: Int, visit: Int, stratum: Int) -> [Int32] {
    entry(Key(count: count, visit: visit, stratum: stratum, isInverse: false)) {
      Self.shuffle(count: count, visit: visit, stratum: stratum, seed: seed)
    }
  }

  /// The place of each member in the permutation.
  func places(of count: Int, visit: Int, stratum: Int) -> [Int32] {
    entry(Key(count: count, visit: visit, stratum: stratum, isInverse: true)) {
      var places = [Int32](repeating: 0, count: count)
      let permutation = Self.shuffle(count: count, visit: visit, stratum: stratum, seed: seed)
      for (place, member) in permutation.enumerated() { places[Int(member)] = Int32(place) }
      return places
    }
  }

  private func entry(_ key: Key, _ make: () -> [Int32]) -> [Int32] {
    entries.withLock { entries in
      if let entry = entries.first(where: { $0.key == key }) { return entry.values }
      let values = make()
      let alike = entries.indices.filter { entries[$0].key.isInverse == key.isInverse }
      if alike.count == (key.isInverse ? 2 : 4) { entries.remove(at: alike[0]) }
      entries.append((key, values))
      return values
    }
  }

  /// Fisher and Yates's shuffle of 0..<count, all permutations equally likely.
  private static func shuffle(count: Int, visit: Int, stratum: Int, seed: UInt64) -> [Int32] {
    var generator = CounterGenerator(
      seed: seed, epoch: UInt64(visit), sample: UInt64(stratum), purpose: .order)
    var permutation = Array(0..<Int32(count))
    for i in stride(from: count - 1, to: 0, by: -1) {
      permutation.swapAt(i, generator.below(i + 1))
    }
    return permutation
  }
}

/// How work is divided over ranks.
public enum WorkDivision {
  /// The contiguous part of 0..<count that `rank` of `ranks` takes. Parts differ by one at most.
  public static func part(of count: Int, rank: Int, ranks: Int) -> Range<Int> {
    precondition(count >= 0 && ranks > 0 && (0..<ranks).contains(rank), "rank \(rank) of \(ranks)")
    let (each, more) = count.quotientAndRemainder(dividingBy: ranks)
    let start = rank * each + min(rank, more)
    return start..<start + each + (rank < more ? 1 : 0)
  }
}
