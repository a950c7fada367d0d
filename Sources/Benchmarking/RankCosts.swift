import Configuration
import Foundation
import Networks

/// What a training of a given size asks of one rank, computed on paper: bytes and messages that it receives,
/// files that it opens and memory that it takes for there being other ranks, at the start and in a step.
///
/// Told of the rank that has most to do of each. Nothing in it may grow with ranks times images or ranks times
/// shards. Bytes and messages of a step follow from the algorithms. Of what ranks tell one another at the start the
/// amount is an estimate: of its bytes weights are by far the most, and its messages are as many as were counted.
public struct RankCosts: Sendable, Equatable, Encodable {
  /// The training.
  public struct Job: Sendable {
    public var ranks: Int
    public var ranksPerHost: Int
    public var shards: Int
    public var images: Int
    /// Bytes of the weights, float32; of the gradients as many.
    public var weightBytes: Int
    public var statisticsBytes: Int
    /// Of each bucket of gradients.
    public var bucketBytes: [Int]
    public var compression = Configuration.Communication.Compression.none
    public var isHierarchical = true

    public init(
      ranks: Int, ranksPerHost: Int, shards: Int, images: Int, weightBytes: Int,
      statisticsBytes: Int, bucketBytes: [Int]
    ) {
      self.ranks = ranks
      self.ranksPerHost = ranksPerHost
      self.shards = shards
      self.images = images
      self.weightBytes = weightBytes
      self.statisticsBytes = statisticsBytes
      self.bucketBytes = bucketBytes
    }

    var hosts: Int { (ranks + ranksPerHost - 1) / ranksPerHost }
    /// Those who exchange gradients by messages; 1 where nobody does.
    var senders: Int {
      guard isHierarchical, ranksPerHost > 1 else { return ranks }
      return hosts == 1 && compression != .none ? ranks : hosts
    }
  }

  public let ranks: Int
  public let hosts: Int
  public let shards: Int
  public let images: Int
  /// Received before the first step: weights, and what ranks tell one another.
  public let startBytes: Int
  public let startMessages: Int
  /// Shards that the first rank of a host opens.
  public let startFiles: Int
  /// Received in a step.
  public let stepBytes: Int
  public let stepMessages: Int
  /// Tables of ranks, buffers of messages, and the index of images that the ranks of a host share.
  public let memoryBytes: Int

  enum CodingKeys: String, CodingKey {
    case ranks, hosts, shards, images
    case startBytes = "start_bytes"
    case startMessages = "start_messages"
    case startFiles = "start_files"
    case stepBytes = "step_bytes"
    case stepMessages = "step_messages"
    case memoryBytes = "memory_bytes"
  }

  public init(_ job: Job) {
    (ranks, hosts, shards, images) = (job.ranks, job.hosts, job.shards, job.images)
    let others = job.ranks - 1
    let rounds = Self.rounds(job.ranks)
    startFiles = job.shards
    guard others > 0 else {
      (startBytes, startMessages, stepBytes, stepMessages) = (0, 0, 0, 0)
      memoryBytes = job.images * Self.indexBytesPerImage
      return
    }
    startBytes =
      job.weightBytes + job.statisticsBytes + others * Self.bytesTold
      + rounds * Self.smallReductions * MemoryLayout<Int>.stride
    startMessages = Self.broadcasts + others * Self.smallCollectives

    // Gradients, running statistics, and the loss with what ranks wish.
    let gradients = Self.gradients(job)
    let statistics = Self.reduction(job.statisticsBytes, ranks: job.ranks)
    stepBytes = gradients.bytes + statistics.bytes + rounds * Self.wishBytes
    stepMessages = gradients.messages + statistics.messages + rounds

    let table = job.ranks * Self.statusBytes
    let buffers = job.compression == .none ? 0 : 2 * (job.bucketBytes.max() ?? 0)
    memoryBytes = (2 * rounds + 2) * table + buffers + job.images * Self.indexBytesPerImage
  }

  // MARK: What is sent

  /// Gradients of a step, by way of ``GradientReducer``.
  private static func gradients(_ job: Job) -> (bytes: Int, messages: Int) {
    let senders = job.senders
    guard senders > 1 else { return (0, 0) }
    return job.bucketBytes.reduce((0, 0)) { sum, bytes in
      let part =
        job.compression == .none
        ? reduction(bytes, ranks: senders)
        : (bytes: (senders - 1) * bytes / senders, messages: 2 * (senders - 1))
      return (sum.0 + part.bytes, sum.1 + part.messages)
    }
  }

  /// Rabenseifner's algorithm: halves, quarters, eighths … and back; ranks beyond a power of two hand all to
  /// a partner before, and get all after.
  private static func reduction(_ bytes: Int, ranks: Int) -> (bytes: Int, messages: Int) {
    guard ranks > 1, bytes > 0 else { return (0, 0) }
    let power = 1 << (Int.bitWidth - 1 - ranks.leadingZeroBitCount)
    let isEven = power == ranks
    return (
      2 * (power - 1) * bytes / power + (isEven ? 0 : bytes),
      2 * rounds(power) + (isEven ? 0 : 1)
    )
  }

  /// ⌈log₂ ranks⌉.
  static func rounds(_ ranks: Int) -> Int {
    ranks <= 1 ? 0 : Int.bitWidth - (ranks - 1).leadingZeroBitCount
  }

  /// Weights and running statistics come whole, whatever pieces MPI makes of them. Where it hands round what it
  /// has dealt out first (Open MPI 4 does at 16 ranks), a rank receives up to half of them twice.
  private static let broadcasts = 2
  /// What every rank tells all others at the start: digests of what it does and sees, its host's name, its
  /// processors.
  static let bytesTold = 400
  /// Sums of one number before the first step.
  static let smallReductions = 20
  /// Collectives in which one rank hears of every other, before the first step and after the last: counted on 2
  /// to 32 ranks (`Tests/Scaling/count.py`).
  static let smallCollectives = 72
  /// `TrainingStep` sums the loss, a wish to stop, …
  static let wishBytes = 32
  /// Of a rank, in a table of `StatusExchange`.
  static let statusBytes = 64
  static let indexBytesPerImage = 2
}
