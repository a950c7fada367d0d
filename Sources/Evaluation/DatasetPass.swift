import Checkpoints
import FaceShards
import ForgeryMining
import Foundations
import Images
import MessagePassing
import Networks
import Tensors

/// Which map shows where a detector looks.
public enum AttentionKind: String, Sendable, CaseIterable {
  /// Forgery Attention Map.
  case fam
  /// Class activation map, fake minus real, upsampled.
  case cam
}

/// A kind of map that a detector doesn't have.
public struct MissingMaps: ReportableError {
  let detector: DetectorForm

  public var description: String {
    "\(detector) has no class activation maps: they need a network that ends in the average "
      + "of a map and a linear layer; FAM (--kind fam) is there for every network"
  }
  public var exitStatus: ExitStatus { .usage }
}

/// Applies a detector to the images of shards, split over ranks: logits, and maps.
public final class DatasetPass {
  public let crop: Int
  /// What is done to every image before it is cropped, one after another.
  public var degradations: [Degradation] = []
  private let detector: Detector
  private let communicator: Communicator
  private let workers: WorkerPool
  private let normalisation: PixelNormalisation
  private let batch: Int
  private let precision: Precision
  private lazy var inference = InferenceProgram(
    detector, crop: crop, precision: precision, groupSize: DetectorGroups.size(images: batch),
    workers: workers)
  private lazy var attention = AttentionProgram(
    detector, crop: crop, precision: precision, groupSize: DetectorGroups.size(images: batch),
    workers: workers)

  public init(
    _ detector: Detector, crop: Int, normalisation: PixelNormalisation, batch: Int = 32,
    precision: Precision = .float32, communicator: Communicator, workers: WorkerPool
  ) {
    self.detector = detector
    self.crop = crop
    self.normalisation = normalisation
    self.batch = batch
    self.precision = precision
    self.communicator = communicator
    self.workers = workers
  }

  public convenience init(
    _ loaded: LoadedDetector, batch: Int = 32, communicator: Communicator, workers: WorkerPool
  ) {
    self.init(
      loaded.detector, crop: loaded.crop, normalisation: loaded.normalisation, batch: batch,
      communicator: communicator, workers: workers)
  }

  /// This rank's part of a list of samples.
  public func part<T>(_ samples: [T]) -> [T] {
    Array(
      samples[
        WorkDivision.part(of: samples.count, rank: communicator.rank, ranks: communicator.size)])
  }

  /// Logits (real, fake) of the samples, two a sample in their order, on rank 0; nil on the others.
  /// Collective.
  ///
  /// - Parameters:
  ///   - progress: told how many samples this rank has done.
  ///   - afterBatch: called after every batch, on all ranks equally often, so that it may be
  ///     collective. What it throws ends the pass.
  public func logits(
    _ set: ShardSet, _ samples: [Int], progress: (Int) -> Void = { _ in },
    afterBatch: () throws -> Void = {}
  ) throws -> [Float]? {
    let mine = try logits(ofThisRank: part(samples), set) {
      progress($0)
      try afterBatch()
    }
    try completeBatches(of: samples, afterBatch)
    return try communicator.gather(mine)?.flatMap { $0 }
  }

  /// Calls `afterBatch` for the batches that another rank has and this one has not, when each does its
  /// part of `samples`.
  func completeBatches<T>(of samples: [T], _ afterBatch: () throws -> Void) throws {
    func batches(rank: Int) -> Int {
      let part = WorkDivision.part(of: samples.count, rank: rank, ranks: communicator.size)
      return (part.count + batch - 1) / batch
    }
    // No part is larger than the first.
    for _ in batches(rank: communicator.rank)..<batches(rank: 0) { try afterBatch() }
  }

  /// Logits of samples of this rank, two a sample in their order. Not collective.
  ///
  /// - Parameter progress: told how many samples are done.
  public func logits(
    ofThisRank mine: [Int], _ set: ShardSet, progress: (Int) throws -> Void = { _ in }
  ) throws -> [Float] {
    inference.refresh()
    var result = [Float](repeating: 0, count: 2 * mine.count)
    if !mine.isEmpty {
      let loader = try BatchLoader(
        evaluating: set, samples: mine, batchSize: batch, crop: crop,
        normalisation: normalisation, degradations: degradations)
      while let batch = try loader.next() {
        result.withUnsafeMutableBufferPointer {
          inference.run(
            images: batch.images.baseAddress!, count: batch.count,
            logits: $0.baseAddress! + 2 * batch.position)
        }
        try progress(batch.position + batch.count)
        RankStatus.progress()
      }
    }
    return result
  }

  /// One image's result of `maps`.
  public struct Mapped {
    /// Place in the list of samples that was given.
    public let place: Int
    /// Number in the shard set.
    public let sample: Int
    public let logits: (real: Float, fake: Float)
    /// (crop, crop), not normalised; valid during the call.
    public let map: UnsafeBufferPointer<Float>
  }

  /// The detector has class activation maps.
  public var hasActivationMaps: Bool { detector.hasActivationMaps }
  /// The kinds of map that the detector has.
  public var kinds: [AttentionKind] {
    AttentionKind.allCases.filter { $0 == .fam || hasActivationMaps }
  }

  /// Takes samples of this rank through the detector, one after another in their order. Not
  /// collective: ranks may call it with lists of different length.
  ///
  /// - Parameter afterBatch: called after every batch of this rank; what it throws ends the pass.
  /// - Throws: ``MissingMaps``, what reading shards throws.
  public func maps(
    _ kind: AttentionKind, _ set: ShardSet, _ samples: [Int],
    afterBatch: () throws -> Void = {}, _ body: (Mapped) throws -> Void
  ) throws {
    guard kind == .fam || hasActivationMaps else { throw MissingMaps(detector: detector.form) }
    guard !samples.isEmpty else { return }
    let pixels = crop * crop
    let loader = try BatchLoader(
      evaluating: set, samples: samples, batchSize: batch, crop: crop,
      normalisation: normalisation, degradations: degradations)
    let logits = UnsafeMutableBufferPointer<Float>.allocate(capacity: 2 * batch)
    defer { logits.deallocate() }
    let map = UnsafeMutableBufferPointer<Float>.allocate(capacity: pixels)
    defer { map.deallocate() }
    map.initialize(repeating: 0)
    switch kind {
    case .fam:
      attention.refresh()
      let gradients = AlignedMemory(size: batch * pixels * 3 * 4)
      while let batch = try loader.next() {
        Array(0..<batch.count).withUnsafeBufferPointer {
          attention.run(
            images: batch.images.baseAddress!, selected: $0, logits: logits.baseAddress!,
            gradients: gradients.floats())
        }
        RankStatus.progress()
        for i in 0..<batch.count {
          forgeryAttentionMap(
            inputGradient: UnsafeBufferPointer(
              start: gradients.floats() + i * pixels * 3, count: pixels * 3),
            height: crop, width: crop, into: map)
          try body(
            Mapped(
              place: batch.position + i, sample: batch.samples[i],
              logits: (logits[2 * i], logits[2 * i + 1]), map: UnsafeBufferPointer(map)))
        }
        try afterBatch()
      }
    case .cam:
      inference.refresh()
      let (height, width) = (inference.featureHeight, inference.featureWidth)
      let size = height * width
      let activations = AlignedMemory(size: batch * 2 * size * 4)
      var difference = [Float](repeating: 0, count: size)
      while let batch = try loader.next() {
        inference.run(
          images: batch.images.baseAddress!, count: batch.count, logits: logits.baseAddress!,
          activationMaps: activations.floats())
        RankStatus.progress()
        for i in 0..<batch.count {
          let cams = activations.floats() + i * 2 * size
          for p in 0..<size { difference[p] = cams[size + p] - cams[p] }
          difference.withUnsafeBufferPointer {
            resizeBilinear(
              $0, height: height, width: width, into: map, height: crop, width: crop)
          }
          try body(
            Mapped(
              place: batch.position + i, sample: batch.samples[i],
              logits: (logits[2 * i], logits[2 * i + 1]), map: UnsafeBufferPointer(map)))
        }
        try afterBatch()
      }
    }
  }
}
