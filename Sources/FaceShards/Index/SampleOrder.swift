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
  /// Whether it is a fake that is made of the sample, a real face, by blending it with itself. Such draws
  /// are counted apart: both `visit` and the sample's identifier are those of the fake.
  public var isSelfBlended = false
}

/// What a training order does with the dataset.
public enum SampleOrderKind: String, Sendable, CaseIterable {
  /// Every sample once per epoch, reshuffled every epoch.
  case uniform
  /// Real and fake samples in turn, so that every batch of an even number is half real, half fake.
  /// An epoch covers the larger class once; the smaller one goes round as often as it is needed,
  /// reshuffled every time. A share of the fakes may be made of the real ones (``SelfBlendedShare``), in
  /// place of as many of the data set's own.
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

  /// Which of the fakes are made of real faces.
  public let selfBlended: SelfBlendedShare

  /// What is drawn from, each in an order of its own: all samples; or the real ones, the fake ones, and
  /// again the real ones, of which fakes are made.
  private let sequences: [SampleSubset]

  /// - Parameters:
  ///   - count: samples of the data set.
  ///   - kind: see ``SampleOrderKind``.
  ///   - seed: the run's seed.
  ///   - selfBlended: the share of the fakes that are made of real faces; 0 unless the order is balanced.
  ///   - isFake: whether a sample is fake.
  ///   - includes: whether a sample is ever drawn; at least one is.
  ///
  /// Throws if a balanced order lacks a class that it draws from.
  public init(
    count: Int, kind: SampleOrderKind, seed: UInt64, selfBlended: SelfBlendedShare = .init(0),
    isFake: (_ sample: Int) -> Bool, includes: (_ sample: Int) -> Bool = { _ in true }
  ) throws {
    precondition((1..<1 << 32).contains(count), "an order has 1 to 2^32 - 1 samples")
    precondition(kind == .balanced || selfBlended.isNone, "fakes are made in a balanced order only")
    self.kind = kind
    self.seed = seed
    self.selfBlended = selfBlended
    switch kind {
    case .uniform, .sequential:
      sequences = [SampleSubset(of: count, where: includes)]
      epochLength = sequences[0].count
      precondition(epochLength > 0, "an order draws from at least one sample")
    case .balanced:
      let real = SampleSubset(of: count) { !isFake($0) && includes($0) }
      let fake = SampleSubset(of: count) { isFake($0) && includes($0) && !selfBlended.isWhole }
      sequences = [real, fake] + (selfBlended.isNone ? [] : [real])
      epochLength = 2 * max(real.count, fake.count)
      if real.count == 0 {
        throw MissingClassError(name: "real", count: selfBlended.isWhole ? count : fake.count)
      }
      if fake.count == 0, !selfBlended.isWhole {
        throw MissingClassError(name: "fake", count: real.count)
      }
    }
  }

  /// The order of samples with these labels, 0 real and 1 fake.
  public init<Labels: RandomAccessCollection>(
    labels: Labels, kind: SampleOrderKind, seed: UInt64, selfBlended: SelfBlendedShare = .init(0),
    includes: (_ sample: Int) -> Bool = { _ in true }
  ) throws where Labels.Element == UInt8, Labels.Index == Int {
    try self.init(
      count: labels.count, kind: kind, seed: seed, selfBlended: selfBlended,
      isFake: { labels[$0] != 0 }, includes: includes)
  }

  /// The draw at a position of 0 or more.
  public func draw(at position: Int) -> SampleDraw {
    let (sequence, number) = turn(at: position)
    let members = sequences[sequence]
    let (visit, place) = number.quotientAndRemainder(dividingBy: members.count)
    let member =
      kind == .sequential ? place : shuffle(sequence, visit: visit).element(at: place)
    return SampleDraw(
      sample: members[member], visit: visit, isSelfBlended: sequence == Self.selfBlendedSequence)
  }

  /// Where in a balanced order's ``sequences`` the real samples stand of which fakes are made.
  private static let selfBlendedSequence = 2

  /// Which sequence is drawn from at a position, and how often it was drawn from before.
  private func turn(at position: Int) -> (sequence: Int, number: Int) {
    precondition(position >= 0, "positions are 0 or more")
    guard kind == .balanced else { return (0, position) }
    let (group, isFake) = position.quotientAndRemainder(dividingBy: 2)
    guard isFake == 1 else { return (0, group) }
    let made = selfBlended.count(of: group)
    return selfBlended.count(of: group + 1) > made
      ? (Self.selfBlendedSequence, made) : (1, group - made)
  }

  /// How often a sequence is drawn from before a position.
  private func draws(of sequence: Int, before position: Int) -> Int {
    guard kind == .balanced else { return position }
    if sequence == 0 { return (position + 1) / 2 }
    let made = selfBlended.count(of: position / 2)
    return sequence == Self.selfBlendedSequence ? made : position / 2 - made
  }

  /// How the members of a sequence are shuffled at a visit.
  private func shuffle(_ sequence: Int, visit: Int) -> KeyedPermutation {
    KeyedPermutation(
      count: sequences[sequence].count,
      generator: CounterGenerator(
        seed: seed, epoch: UInt64(visit), sample: UInt64(sequence), purpose: .order))
  }

  /// The epoch that a position lies in.
  public func epoch(at position: Int) -> Int { position / epochLength }

  /// Whether no draw from `start` on, up to a position, is of the sample that is drawn there. A fake that is
  /// made of a sample is another sample than that.
  ///
  /// Between `start` and the position samples may come twice although each comes once in a visit: a
  /// smaller class, or the order of a rank with fewer samples than others, goes round within an epoch,
  /// and is shuffled anew each time.
  ///
  /// - Precondition: `start` is neither negative nor behind the position.
  public func isFirstDraw(at position: Int, since start: Int) -> Bool {
    precondition((0...position).contains(start), "position \(position) is before \(start)")
    let (sequence, number) = turn(at: position)
    // The sequence's first draw from `start` on.
    let first = draws(of: sequence, before: start)
    let count = sequences[sequence].count
    let (visit, place) = number.quotientAndRemainder(dividingBy: count)
    if first >= visit * count { return true }
    // The visit before had all samples. If it began earlier, it may have had this one earlier too.
    let before = first - (visit - 1) * count
    if before <= 0 { return false }
    if kind == .sequential { return place < before }
    let member = shuffle(sequence, visit: visit).element(at: place)
    return shuffle(sequence, visit: visit - 1).place(of: member) < before
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
      + (name == "fake" ? ", or make all fakes of real faces, data.self_blended: 1" : "")
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
