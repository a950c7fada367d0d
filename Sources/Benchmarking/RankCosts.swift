import Configuration
import FaceShards
import Foundation
import Networks

/// What a training of a given size asks of one rank, computed on paper: bytes and messages that it receives,
/// files that it opens and memory that it takes for there being other ranks, at the start and in a step.
///
/// Told of the rank that has most to do of each, but for ``allFiles``. Nothing of a rank may grow with ranks times
/// images or ranks times shards. Bytes and messages of a step follow from the algorithms, messages of the start from
/// the communicators and collectives of a training without validation, as Open MPI 4 makes them. Of the start's bytes
/// weights are by far the most; how much ranks tell one another besides is an estimate.
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
    /// Whether the ranks of a host add up in memory, and one of them exchanges messages with other hosts.
    var isGrouped: Bool { isHierarchical && ranksPerHost > 1 && hosts > 1 }
  }

  /// Of the job.
  public let ranks: Int
  /// On which they are.
  public let hosts: Int
  /// Of the training data.
  public let shards: Int
  /// In all shards.
  public let images: Int
  /// Received before the first step and after the last: weights, and what ranks tell one another.
  public let startBytes: Int
  /// Likewise.
  public let startMessages: Int
  /// Shards that the first rank of a host opens before the first step, where no index of them is kept.
  public let startFiles: Int
  /// Shards of which every other rank reads an image, to see the same as all; where an index is kept, the first
  /// of a host opens no others either.
  public let otherFiles: Int
  /// Shards that all ranks open, those that several open as often, where no index is kept.
  public let allFiles: Int
  /// Received in a step.
  public let stepBytes: Int
  /// Likewise.
  public let stepMessages: Int
  /// Tables of ranks, buffers of messages, and the index of images that the ranks of a host share.
  public let memoryBytes: Int

  enum CodingKeys: String, CodingKey {
    case ranks, hosts, shards, images
    case startBytes = "start_bytes"
    case startMessages = "start_messages"
    case startFiles = "start_files"
    case otherFiles = "start_files_of_others"
    case allFiles = "start_files_of_all"
    case stepBytes = "step_bytes"
    case stepMessages = "step_messages"
    case memoryBytes = "memory_bytes"
  }

  public init(_ job: Job) {
    (ranks, hosts, shards, images) = (job.ranks, job.hosts, job.shards, job.images)
    let others = job.ranks - 1
    let rounds = Self.rounds(job.ranks)
    let fingerprinted = ShardFingerprint.chosen(of: job.shards).count
    startFiles = job.shards
    otherFiles = fingerprinted
    allFiles = job.hosts * job.shards + (job.ranks - job.hosts) * fingerprinted
    let index = Self.indexBytes(images: job.images, shards: job.shards)
    guard others > 0 else {
      (startBytes, startMessages, stepBytes, stepMessages) = (0, 0, 0, 0)
      memoryBytes = index
      return
    }
    let weights = Self.broadcast(job.weightBytes, ranks: job.ranks)
    let statistics = Self.broadcast(job.statisticsBytes, ranks: job.ranks)
    startBytes =
      weights.bytes + statistics.bytes + others * Self.bytesTold
      + rounds * Self.smallReductions * MemoryLayout<Int>.stride
    // Texts come to rank 0 from each; the others hear of all at once, and what rank 0 hands on.
    startMessages =
      Self.agreementMessages(job) + weights.extraMessages + statistics.extraMessages
      + max(Self.texts * others, Self.texts + Self.broadcasts)

    // Gradients, running statistics, and the loss with what ranks wish.
    let gradients = Self.gradients(job)
    let averages = Self.reduction(job.statisticsBytes, ranks: job.ranks)
    stepBytes = gradients.bytes + averages.bytes + rounds * Self.wishBytes
    stepMessages = gradients.messages + averages.messages + rounds

    let table = job.ranks * Self.statusBytes
    let buffers = job.compression == .none ? 0 : 2 * (job.bucketBytes.max() ?? 0)
    memoryBytes = (2 * rounds + 2) * table + buffers + index
  }

  // MARK: What is opened and kept

  /// The index of uncompressed images without masks (`ShardIndex`): of an image its method, and where it lies,
  /// which those that lie behind one another have together; of a shard its record and its path. Where sizes differ,
  /// as compressed ones do, an image has 4 bytes more; where masks lie between images, up to 28.
  static func indexBytes(images: Int, shards: Int) -> Int {
    images + images / 4 + shards * 256
  }

  // MARK: What is sent at the start

  /// What a group of ranks agrees on: communicators, and collectives on something short.
  private struct Agreements {
    var communicators: Int
    var short: Int

    static func + (a: Agreements, b: Agreements) -> Agreements {
      Agreements(communicators: a.communicators + b.communicators, short: a.short + b.short)
    }

    func messages(_ ranks: Int) -> Int {
      communicators * messagesPerCommunicator * (ranks - 1) + short * rounds(ranks)
    }
  }

  /// Of all ranks, as counted: the job's communicator, the watchdog's, that by which they see whether all fail
  /// together, and two that tell who is on a host; among what is short, two for each agreement on failures.
  private static let ofAll = Agreements(communicators: 5, short: 38)
  /// Of a host's ranks, which share the index of shards and their memory.
  private static let ofHost = Agreements(communicators: 5, short: 8)

  /// Messages by which ranks agree at the start. Counted on one host; over several computed from what
  /// ``GradientReducer`` makes there.
  private static func agreementMessages(_ job: Job) -> Int {
    var (all, host) = (ofAll, ofHost)
    var leaders = Agreements(communicators: 0, short: 0)
    if job.senders == 1 {
      // Where gradients have their place in memory.
      all = all + Agreements(communicators: 0, short: 2)
    } else if job.isGrouped {
      all = all + Agreements(communicators: 3, short: 5)
      host = host + Agreements(communicators: 1, short: 3)
      leaders = Agreements(communicators: 1, short: 1)
    } else {
      all = all + Agreements(communicators: 1, short: 0)
    }
    return all.messages(job.ranks) + host.messages(min(job.ranks, job.ranksPerHost))
      + leaders.messages(job.hosts)
  }

  /// A communicator's number takes Open MPI three sums of one number. As rfm asks for Rabenseifner's algorithm, for
  /// which one number is too few, they go round a ring twice: so many messages from each other rank.
  private static let messagesPerCommunicator = 6

  /// What a rank receives of a broadcast, and messages beside the one that it comes in. Of 1 MiB or more Open MPI 4
  /// deals a part to each of 16 to 31 ranks and hands the parts round: the first of the largest branch gets
  /// that branch's parts twice.
  private static func broadcast(_ bytes: Int, ranks: Int) -> (bytes: Int, extraMessages: Int) {
    guard bytes >= 1 << 20, (16..<32).contains(ranks) else { return (bytes, 0) }
    let branch = max(8, ranks - 16)
    return (bytes * (branch + ranks - 1) / ranks, rounds(ranks))
  }

  // MARK: What is sent in a step

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

  /// Texts of any length that all ranks hear of one another: hosts' names, twice, and their processors, again for
  /// the report.
  private static let texts = 4
  /// Broadcasts from rank 0: lengths, what is as long, and weights.
  private static let broadcasts = 10
  /// What every rank tells all others at the start: digests of what it does and sees, its host's name, its
  /// processors.
  static let bytesTold = 400
  /// Sums of one number before the first step.
  static let smallReductions = 20
  /// `TrainingStep` sums the loss, a wish to stop, …
  static let wishBytes = 32
  /// Of a rank, in a table of `StatusExchange`.
  static let statusBytes = 64
}
