import FaceShards
import ForgeryMining
import Networks
import Tensors

/// Steps 1 and 2 of the algorithm on a batch: finds where the detector is sensitive and erases there
/// (`sfe`, `ae`), or erases at random (`re`), or leaves the batch alone (`none`).
///
/// The methods themselves are pure functions in `ForgeryMining`; here they meet the detector. Only
/// images that were chosen for erasing take the attention pass. Every draw is keyed by seed, visit
/// and sample, so the number of ranks leaves no trace.
public final class BatchErasing {
  /// Seconds of the last `erase`.
  public struct Timing: Sendable {
    public var attention = 0.0
    public var erasing = 0.0
  }

  public private(set) var timing = Timing()
  /// Images erased by the last `erase`.
  public private(set) var erased = 0

  private enum Method {
    case none
    case random(RandomErasing)
    case activation(AttentionErasing, InferenceProgram)
    case suspicious(SuspiciousForgeriesErasing, AttentionProgram)
  }

  private let method: Method
  private let probability: Double
  private let seed: UInt64
  private let crop: Int
  private let capacity: Int
  private let workers: WorkerPool

  /// Places of the chosen images in the batch, and each image's streams.
  private var chosen: [Int]
  private var streams: [ErasingStreams]
  private let gradients: AlignedMemory
  private let maps: AlignedMemory
  private let logits: AlignedMemory
  private let rectangles: UnsafeMutableBufferPointer<PixelRectangle>
  private let blocks: Int

  /// - Parameter batch: most images of a batch.
  public init(
    _ configuration: Configuration, _ detector: Detector, batch: Int, workers: WorkerPool
  ) {
    let settings = configuration.augmentation
    let fill = ErasingFill(rawValue: settings.fill.rawValue)!
    let precision = Precision(rawValue: configuration.training.precision.attention.rawValue)!
    // What is erased must not depend on the number of ranks where that is promised.
    let groupSize = DetectorGroups.size(
      images: batch, alone: configuration.training.batchNorm == .synchronized)
    crop = configuration.data.crop
    probability = settings.method == .none ? 0 : settings.probability
    seed = UInt64(configuration.run.seed)
    capacity = batch
    self.workers = workers
    chosen = []
    chosen.reserveCapacity(batch)
    streams = (0..<batch).map { ErasingStreams(seed: 0, epoch: 0, sample: UInt64($0)) }
    let pixels = crop * crop
    var gradientFloats = 0
    var mapFloats = 0
    switch settings.method {
    case .none:
      method = .none
    case .re:
      method = .random(
        RandomErasing(
          probability: settings.probability,
          area: settings.randomErasing.minArea...settings.randomErasing.maxArea,
          aspectRatio: settings.randomErasing.minAspect...(1 / settings.randomErasing.minAspect),
          fill: fill))
    case .ae:
      let program = InferenceProgram(
        detector, crop: crop, precision: precision,
        groupSize: groupSize, workers: workers)
      method = .activation(
        AttentionErasing(
          probability: settings.probability, fraction: settings.attentionErasing.fraction,
          fill: fill), program)
      gradientFloats = batch * pixels
      mapFloats = batch * 2 * program.featureHeight * program.featureWidth
    case .sfe:
      let side = SuspiciousForgeriesErasing.proportionalSide(crop: crop)
      method = .suspicious(
        SuspiciousForgeriesErasing(
          probability: settings.probability, blocks: settings.blocks,
          maxHeight: settings.maxHeight ?? side, maxWidth: settings.maxWidth ?? side, fill: fill),
        AttentionProgram(
          detector, crop: crop, precision: precision,
          groupSize: groupSize, workers: workers))
      gradientFloats = batch * pixels * 3
      mapFloats = batch * pixels
    }
    gradients = AlignedMemory(size: gradientFloats * 4)
    maps = AlignedMemory(size: mapFloats * 4)
    logits = AlignedMemory(size: batch * 8)
    blocks = Swift.max(1, settings.blocks)
    rectangles = .allocate(capacity: batch * blocks)
    rectangles.initialize(repeating: PixelRectangle(top: 0, left: 0, height: 0, width: 0))
  }

  deinit { rectangles.deallocate() }

  /// Follows the detector. Call after weights or running statistics changed.
  public func refresh() {
    switch method {
    case .none, .random: break
    case .activation(_, let program): program.refresh()
    case .suspicious(_, let program): program.refresh()
    }
  }

  /// Erases in place.
  public func erase(_ batch: Batch) {
    timing = Timing()
    erased = 0
    if case .none = method { return }
    precondition(batch.count <= capacity, "a batch of at most \(capacity) images was planned")
    chosen.removeAll(keepingCapacity: true)
    for i in 0..<batch.count {
      streams[i] = ErasingStreams(
        seed: seed, epoch: UInt64(batch.visits[i]), sample: UInt64(batch.identifiers[i]))
      if streams[i].chooses(probability: probability) { chosen.append(i) }
    }
    erased = chosen.count
    if chosen.isEmpty { return }
    let images = batch.images.baseAddress!
    let start = Stopwatch()
    switch method {
    case .none: break
    case .random(let settings):
      eraseEach(images) { [crop] _, image, streams in
        eraseRandomly(
          image: image, height: crop, width: crop, settings: settings, streams: &streams)
      }
    case .activation(let settings, let program):
      eraseByActivation(settings, program, images)
    case .suspicious(let settings, let program):
      eraseSuspicious(settings, program, images)
    }
    timing.erasing = start.seconds - timing.attention
  }

  private func eraseSuspicious(
    _ settings: SuspiciousForgeriesErasing, _ program: AttentionProgram,
    _ images: UnsafeMutablePointer<Float>
  ) {
    let start = Stopwatch()
    chosen.withUnsafeBufferPointer {
      program.run(
        images: images, selected: $0, logits: nil, gradients: self.gradients.floats())
    }
    timing.attention = start.seconds
    let (crop, maps, gradients, rectangles, blocks) = (crop, maps, gradients, rectangles, blocks)
    let pixels = crop * crop
    eraseEach(images) { i, image, streams in
      let map = UnsafeMutableBufferPointer(start: maps.floats() + i * pixels, count: pixels)
      forgeryAttentionMap(
        inputGradient: UnsafeBufferPointer(
          start: gradients.floats() + i * pixels * 3, count: pixels * 3),
        height: crop, width: crop, into: map)
      eraseSuspiciousForgeries(
        image: image, attention: UnsafeBufferPointer(map), height: crop, width: crop,
        settings: settings, streams: &streams,
        into: UnsafeMutableBufferPointer(
          rebasing: rectangles[i * blocks..<(i + 1) * blocks]))
    }
  }

  private func eraseByActivation(
    _ settings: AttentionErasing, _ program: InferenceProgram,
    _ images: UnsafeMutablePointer<Float>
  ) {
    // Inference takes a contiguous batch: the chosen images are few or all, so run it on all.
    let start = Stopwatch()
    let count = (chosen.last ?? 0) + 1
    program.run(
      images: images, count: count, logits: logits.floats(), activationMaps: maps.floats())
    timing.attention = start.seconds
    let (height, width) = (program.featureHeight, program.featureWidth)
    let (crop, maps, gradients, chosen) = (crop, maps, gradients, chosen)
    let pixels = crop * crop
    eraseEach(images) { i, image, streams in
      let cams = maps.floats() + chosen[i] * 2 * height * width
      let difference = (0..<height * width).map { cams[height * width + $0] - cams[$0] }
      let activation = UnsafeMutableBufferPointer(
        start: gradients.floats() + i * pixels, count: pixels)
      difference.withUnsafeBufferPointer {
        resizeBilinear(
          $0, height: height, width: width, into: activation, height: crop, width: crop)
      }
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: pixels) { mask in
        eraseAttention(
          image: image, activation: UnsafeBufferPointer(activation), settings: settings,
          streams: &streams, into: mask)
      }
    }
  }

  /// Runs `body(i, image, streams)` for the i-th chosen image, on all workers.
  private func eraseEach(
    _ images: UnsafeMutablePointer<Float>,
    _ body: @escaping (Int, UnsafeMutableBufferPointer<Float>, inout ErasingStreams) -> Void
  ) {
    let size = crop * crop * 3
    let count = chosen.count
    chosen.withUnsafeBufferPointer { chosen in
      streams.withUnsafeMutableBufferPointer { streams in
        let (chosen, streams) = (chosen, streams)
        workers.run(count) { i, _ in
          let image = chosen[i]
          body(
            i, UnsafeMutableBufferPointer(start: images + image * size, count: size),
            &streams[image])
        }
      }
    }
  }
}
