import Configuration
import Glibc

/// Predicts how long a training step takes on many ranks, from what was measured on few.
///
/// A pure function of its inputs: what a step's phases take on one rank, how its gradients become
/// ready, what a reduction costs, how unevenly ranks work, and what checkpoints hold up. It follows
/// the step as `TrainingStep` runs it: buckets are reduced one after the other as backward finishes
/// them, and what is left when backward ends is waited for.
///
/// The page <doc:Scaling> derives it and shows it beside measurements.
public struct ScalingModel: Sendable {
  /// What one rank does in a step when it does not wait for others. Seconds.
  public struct Compute: Sendable, Codable, Equatable {
    /// Loading, attention, erasing and the forward pass.
    public var beforeBackward: Double
    public var backward: Double
    /// The optimizer.
    public var update: Double
    /// When each bucket was ready, in seconds from backward's begin, in order.
    public var bucketReady: [Double]
    /// Bytes of each bucket's gradients, float32.
    public var bucketBytes: [Int]
    /// Bytes of the running statistics, averaged after backward; 0 if they are not.
    public var statisticsBytes: Int
    /// Standard deviation of a rank's step from one step to the next.
    public var deviation: Double
    public var imagesPerRank: Int

    public init(
      beforeBackward: Double, backward: Double, update: Double, bucketReady: [Double],
      bucketBytes: [Int], statisticsBytes: Int, deviation: Double, imagesPerRank: Int
    ) {
      precondition(
        bucketReady.count == bucketBytes.count, "every bucket is ready at a time of its own")
      self.beforeBackward = beforeBackward
      self.backward = backward
      self.update = update
      self.bucketReady = bucketReady
      self.bucketBytes = bucketBytes
      self.statisticsBytes = statisticsBytes
      self.deviation = deviation
      self.imagesPerRank = imagesPerRank
    }

    /// A step of one rank.
    public var step: Double { beforeBackward + backward + update }

    enum CodingKeys: String, CodingKey {
      case backward, update, deviation
      case beforeBackward = "before_backward"
      case bucketReady = "bucket_ready"
      case bucketBytes = "bucket_bytes"
      case statisticsBytes = "statistics_bytes"
      case imagesPerRank = "images_per_rank"
    }
  }

  /// A network as its hosts see it.
  public struct Network: Sendable, Codable, Equatable {
    /// Seconds that a message costs whatever its size (α).
    public var latency: Double
    /// Bytes a second of a host's link, in each direction (β).
    public var bandwidth: Double
    /// Seconds of processor time that a rank spends on a byte of gradients that is reduced: the
    /// network stack's copies, and the additions.
    public var processorPerByte: Double
    /// Seconds that the ranks of a host take for a byte of gradients that they add up in their memory and
    /// take over from it; nil where that was not measured.
    public var hostPerByte: Double?

    public init(
      latency: Double, bandwidth: Double, processorPerByte: Double, hostPerByte: Double? = nil
    ) {
      self.latency = latency
      self.bandwidth = bandwidth
      self.processorPerByte = processorPerByte
      self.hostPerByte = hostPerByte
    }

    enum CodingKeys: String, CodingKey {
      case latency, bandwidth
      case processorPerByte = "processor_per_byte"
      case hostPerByte = "host_per_byte"
    }
  }

  /// What is held up besides steps.
  public struct Checkpoints: Sendable, Equatable {
    /// Seconds that training stands still for one.
    public var seconds: Double
    public var everySteps: Int

    public init(seconds: Double, everySteps: Int) {
      self.seconds = seconds
      self.everySteps = everySteps
    }
  }

  public var compute: Compute
  public var network: Network
  /// How gradients travel.
  public var compression = Configuration.Communication.Compression.none
  /// Ranks of a host. They share its link.
  public var ranksPerHost = 1
  /// Ranks of a host add up in their memory, and one of them exchanges the sums with other hosts; else every
  /// rank exchanges messages.
  public var isHierarchical = true
  /// The part of reduction's processor time that workers lose: 1 / threads where they occupy all
  /// cores, 0 where a core is left for it.
  public var contention = 1.0
  public var checkpoints: Checkpoints?

  public init(compute: Compute, network: Network) {
    self.compute = compute
    self.network = network
  }

  /// What is predicted of a number of ranks.
  public struct Prediction: Sendable, Equatable {
    public var ranks: Int
    /// Seconds of a step, checkpoints included.
    public var step: Double
    /// Seconds of it that wait for reductions after backward has ended.
    public var exposed: Double
    /// Seconds of it that wait for the slowest rank.
    public var straggling: Double
    public var imagesPerSecond: Double
    /// One rank's step over this one: 1 if all ranks work as if alone.
    public var efficiency: Double
  }

  /// - Parameter ranks: 1 or more.
  public func predict(ranks: Int) -> Prediction {
    precondition(ranks > 0, "at least one rank was expected, got \(ranks)")
    let alone = compute.step + checkpointShare
    guard ranks > 1 else {
      return Prediction(
        ranks: 1, step: alone, exposed: 0, straggling: 0,
        imagesPerSecond: Double(compute.imagesPerRank) / alone, efficiency: 1)
    }
    let (backward, end) = overlapped(ranks: ranks)
    // By messages of all ranks in any case.
    let small =
      messages(bytes: compute.statisticsBytes, ranks: ranks, compressed: false)
      + messages(bytes: 16, ranks: ranks, compressed: false)
    let exposed = max(0, end - backward) + small
    let straggling = compute.deviation * Self.expectedMaximum(of: ranks)
    let step =
      compute.beforeBackward + backward + exposed + compute.update + straggling + checkpointShare
    return Prediction(
      ranks: ranks, step: step, exposed: exposed, straggling: straggling,
      imagesPerSecond: Double(compute.imagesPerRank * ranks) / step, efficiency: alone / step)
  }

  private var checkpointShare: Double {
    checkpoints.map { $0.seconds / Double($0.everySteps) } ?? 0
  }

  /// When backward and the last reduction end, in seconds from backward's begin.
  ///
  /// Reductions take processor time from the workers, which stretches backward and so the times at
  /// which buckets are ready, which in turn moves reductions: a few rounds settle it.
  private func overlapped(ranks: Int) -> (backward: Double, reduced: Double) {
    let parts = compute.bucketBytes.map {
      self.parts(bytes: $0, ranks: ranks, compressed: compression != .none)
    }
    var backward = compute.backward
    var reduced = backward
    for _ in 0..<20 {
      let stretch = compute.backward > 0 ? backward / compute.backward : 1
      // A host adds up a bucket while the one before it travels.
      var (added, free) = (0.0, 0.0)
      var hidden = 0.0
      for (bucket, (host, links)) in parts.enumerated() {
        let start = max(added, compute.bucketReady[bucket] * stretch)
        added = start + host
        let begin = max(free, added)
        free = begin + links
        let before = min(host, max(0, backward - start)) + min(links, max(0, backward - begin))
        let share = host + links > 0 ? before / (host + links) : 0
        hidden += share * Double(compute.bucketBytes[bucket])
      }
      reduced = free
      let next = compute.backward + contention * network.processorPerByte * hidden
      if abs(next - backward) < 1e-9 { break }
      // Halfway, since a longer backward also hides more.
      backward = (backward + next) / 2
    }
    return (backward, reduced)
  }

  /// Seconds to sum `bytes` of float32 over ranks, with nothing else under way.
  public func reduction(bytes: Int, ranks: Int, compressed: Bool) -> Double {
    let (host, links) = parts(bytes: bytes, ranks: ranks, compressed: compressed)
    return host + links
  }

  /// Seconds within hosts, where ranks add up in their memory, and those of messages between them.
  private func parts(
    bytes: Int, ranks: Int, compressed: Bool
  ) -> (host: Double, links: Double) {
    guard isHierarchical, ranksPerHost > 1, ranks > 1 else {
      return (0, messages(bytes: bytes, ranks: ranks, compressed: compressed))
    }
    var leaders = self
    leaders.ranksPerHost = 1
    let hosts = (ranks + ranksPerHost - 1) / ranksPerHost
    return (
      Double(bytes) * (network.hostPerByte ?? 0),
      leaders.messages(bytes: bytes, ranks: hosts, compressed: compressed)
    )
  }

  /// Seconds of messages that every rank exchanges to sum `bytes` of float32.
  ///
  /// Uncompressed, Rabenseifner's algorithm: ranks exchange halves, quarters, eighths … with partners
  /// at distance 1, 2, 4 …, adding up, and gather the sums in reverse (Thakur, Rabenseifner and Gropp
  /// 2005): 2 ⌈log₂ R⌉ messages, 2 (R − 1)/R of the bytes. Ranks beyond a power of two hand all to a
  /// partner first and get the sums from it at the end. Partners of one host need no link.
  ///
  /// Compressed, half the bytes go directly from every rank to every other and back.
  private func messages(bytes: Int, ranks: Int, compressed: Bool) -> Double {
    guard ranks > 1, bytes > 0 else { return 0 }
    let size = Double(bytes)
    let sharing = Double(min(ranksPerHost, ranks))
    if compressed {
      let away = Double(max(0, ranks - ranksPerHost)) / Double(ranks)
      let messages = Double(ranks - 1)
      return 2 * (messages * network.latency + away * sharing * size / 2 / network.bandwidth)
    }
    var power = 1
    var time = 0.0
    var part = size
    while power * 2 <= ranks {
      part /= 2
      if power >= ranksPerHost {
        time += 2 * (network.latency + sharing * part / network.bandwidth)
      }
      power *= 2
    }
    if power < ranks { time += 2 * (network.latency + size / network.bandwidth) }
    return time
  }

  // MARK: The slowest of many

  /// The mean of the largest of `count` draws from the standard normal distribution, by Blom's
  /// formula (1958): Φ⁻¹((n − 3/8) / (n + 1/4)), exact to about 0.03.
  public static func expectedMaximum(of count: Int) -> Double {
    precondition(count > 0, "at least one draw was expected, got \(count)")
    guard count > 1 else { return 0 }
    return normalQuantile((Double(count) - 0.375) / (Double(count) + 0.25))
  }

  /// Φ⁻¹, by bisection.
  static func normalQuantile(_ probability: Double) -> Double {
    var (low, high) = (-40.0, 40.0)
    for _ in 0..<100 {
      let middle = (low + high) / 2
      if erfc(-middle / 2.0.squareRoot()) / 2 < probability { low = middle } else { high = middle }
    }
    return (low + high) / 2
  }

  // MARK: A network from measurements

  /// Latency and bandwidth that explain measured reductions by messages best: the least sum of squared
  /// relative errors of ``reduction(bytes:ranks:compressed:)``.
  ///
  /// - Parameters:
  ///   - points: bytes and seconds, of sizes that differ.
  ///   - ranks: those that exchange messages.
  public static func fit(
    _ points: [(bytes: Int, seconds: Double)], ranks: Int, ranksPerHost: Int = 1,
    compressed: Bool, processorPerByte: Double
  ) -> Network {
    precondition(points.count > 1, "a line needs two points")
    precondition(ranks > ranksPerHost, "ranks of one host use no network")
    // Seconds are a·latency + b(bytes)/bandwidth with the model's own a and b.
    var model = ScalingModel(
      compute: Compute(
        beforeBackward: 0, backward: 0, update: 0, bucketReady: [], bucketBytes: [],
        statisticsBytes: 0, deviation: 0, imagesPerRank: 1),
      network: Network(latency: 1, bandwidth: .infinity, processorPerByte: 0))
    model.ranksPerHost = ranksPerHost
    model.isHierarchical = false
    var (aa, ab, bb, a1, b1) = (0.0, 0.0, 0.0, 0.0, 0.0)
    for point in points where point.seconds > 0 {
      model.network = Network(latency: 1, bandwidth: .infinity, processorPerByte: 0)
      let messages =
        model.reduction(bytes: point.bytes, ranks: ranks, compressed: compressed) / point.seconds
      model.network = Network(latency: 0, bandwidth: 1, processorPerByte: 0)
      let traffic =
        model.reduction(bytes: point.bytes, ranks: ranks, compressed: compressed) / point.seconds
      aa += messages * messages
      ab += messages * traffic
      bb += traffic * traffic
      a1 += messages
      b1 += traffic
    }
    let determinant = aa * bb - ab * ab
    var latency = (a1 * bb - b1 * ab) / determinant
    var perByte = (b1 * aa - a1 * ab) / determinant
    // Neither can be negative: if one would be, the other alone explains best.
    if latency < 0 { (latency, perByte) = (0, b1 / bb) }
    if perByte <= 0 { (latency, perByte) = (a1 / aa, .leastNormalMagnitude) }
    return Network(
      latency: latency, bandwidth: 1 / perByte, processorPerByte: processorPerByte)
  }
}
