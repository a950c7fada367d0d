import Foundations
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

/// The endless sequence of samples of a training. Nothing is listed: every draw is computed from its
/// position (``KeyedPermutation``, ``SampleSubset``).
public struct SampleOrder: Sendable {
  public let kind: SampleOrderKind
  public let seed: UInt64
  /// Positions in an epoch.
  public let epochLength: Int

  /// The samples that are drawn from: all, or the real and the fake ones.
  private let classes: [SampleSubset]

  /// - Parameters:
  ///   - count: samples of the data set.
  ///   - kind: see ``SampleOrderKind``.
  ///   - seed: the run's seed.
  ///   - isFake: whether a sample is fake.
  ///   - includes: whether a sample is ever drawn; at least one is.
  ///
  /// Throws if a balanced order lacks a class.
  public init(
    count: Int, kind: SampleOrderKind, seed: UInt64, isFake: (_ sample: Int) -> Bool,
    includes: (_ sample: Int) -> Bool = { _ in true }
  ) throws {
    precondition((1..<1 << 32).contains(count), "an order has 1 to 2^32 - 1 samples")
    self.kind = kind
    self.seed = seed
    switch kind {
    case .uniform, .sequential:
      classes = [SampleSubset(of: count, where: includes)]
      epochLength = classes[0].count
    case .balanced:
      classes = [
        SampleSubset(of: count) { !isFake($0) && includes($0) },
        SampleSubset(of: count) { isFake($0) && includes($0) },
      ]
      epochLength = 2 * max(classes[0].count, classes[1].count)
    }
    let drawn = classes.reduce(0) { $0 + $1.count }
    precondition(drawn > 0, "an order draws from at least one sample")
    for (members, name) in zip(classes, ["real", "fake"]) where members.count == 0 {
      throw MissingClassError(name: name, count: drawn)
    }
  }

  /// The order of samples with these labels, 0 real and 1 fake.
  public init<Labels: RandomAccessCollection>(
    labels: Labels, kind: SampleOrderKind, seed: UInt64,
    includes: (_ sample: Int) -> Bool = { _ in true }
  ) throws where Labels.Element == UInt8, Labels.Index == Int {
    try self.init(
      count: labels.count, kind: kind, seed: seed, isFake: { labels[$0] != 0 }, includes: includes)
  }

  /// The draw at a position of 0 or more.
  public func draw(at position: Int) -> SampleDraw {
    precondition(position >= 0, "positions are 0 or more")
    let (group, index) = position.quotientAndRemainder(dividingBy: classes.count)
    let members = classes[index]
    let (visit, place) = group.quotientAndRemainder(dividingBy: members.count)
    let member =
      kind == .sequential ? place : shuffle(index, visit: visit).element(at: place)
    return SampleDraw(sample: members[member], visit: visit)
  }

  /// How the members of a class are shuffled at a visit.
  private func shuffle(_ index: Int, visit: Int) -> KeyedPermutation {
    KeyedPermutation(
      count: classes[index].count,
      generator: CounterGenerator(
        seed: seed, epoch: UInt64(visit), sample: UInt64(index), purpose: .order))
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
    let member = shuffle(index, visit: visit).element(at: place)
    return shuffle(index, visit: visit - 1).place(of: member) < before
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
