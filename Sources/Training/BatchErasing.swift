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
  private let chosen: UnsafeMutableBufferPointer<Int>
  private let streams: UnsafeMutableBufferPointer<ErasingStreams>
  /// The batch under way.
  private var images: UnsafeMutablePointer<Float>?
  /// Erases the i-th chosen image; made once, so that a step allocates nothing.
  private var eraseOne: (Int, Int) -> Void = { _, _ in }
  private let gradients: AlignedMemory
  private let maps: AlignedMemory
  private let logits: AlignedMemory
  private let rectangles: UnsafeMutableBufferPointer<PixelRectangle>
  private let blocks: Int

  /// Takes the maps of fake images for the epoch's prototypes; nil: nothing does.
  private var gathering: Gathering?
  /// Adds a band of rows of all maps; made once.
  private var gatherBand: (Int, Int) -> Void = { _, _ in }
  private static let bands = 16

  private struct Gathering {
    let prototypes: EpochPrototypeGatherer
    let normaliser: AttentionNormaliser
    let scratch: AlignedMemory
    /// Of the centre crop.
    let top: Int
    let left: Int
    /// The batch whose maps are wanted.
    var batch: Batch?

    /// Fakes, each once an epoch: a mean over images, not over how often they were drawn.
    func wants(_ place: Int, of batch: Batch) -> Bool {
      batch.labels[place] != 0 && batch.newInEpoch[place] == prototypes.epoch
    }
  }

  /// - Parameters:
  ///   - batch: most images of a batch.
  ///   - training: the update's pass, whose working weights serve here too where the precision is
  ///     the same; it is refreshed first.
  public init(
    _ configuration: Configuration, _ detector: Detector, batch: Int, workers: WorkerPool,
    sharing training: TrainingProgram? = nil
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
    chosen = .allocate(capacity: batch)
    chosen.initialize(repeating: 0)
    streams = .allocate(capacity: batch)
    streams.initialize(repeating: ErasingStreams(seed: 0, epoch: 0, sample: 0))
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
        groupSize: groupSize, workers: workers, sharing: training)
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
          groupSize: groupSize, workers: workers, sharing: training))
      gradientFloats = batch * pixels * 3
      mapFloats = batch * pixels
    }
    gradients = AlignedMemory(size: gradientFloats * 4)
    maps = AlignedMemory(size: mapFloats * 4)
    logits = AlignedMemory(size: batch * 8)
    blocks = Swift.max(1, settings.blocks)
    rectangles = .allocate(capacity: batch * blocks)
    rectangles.initialize(repeating: PixelRectangle(top: 0, left: 0, height: 0, width: 0))
    eraseOne = { [unowned self] i, _ in erase(chosenImage: i) }
    gatherBand = { [unowned self] band, _ in gather(band: band) }
  }

  deinit {
    chosen.deallocate()
    streams.deallocate()
    rectangles.deallocate()
  }

  /// Follows the detector. Call after weights or running statistics changed.
  public func refresh() {
    switch method {
    case .none, .random: break
    case .activation(_, let program): program.refresh()
    case .suspicious(_, let program): program.refresh()
    }
  }

  /// Hands the maps of fake images that training erases to `prototypes` from now on; only `sfe` has
  /// any.
  ///
  /// - Parameters:
  ///   - height: rows of the images that crops are cut from.
  ///   - width: their columns.
  public func gather(into prototypes: EpochPrototypeGatherer, height: Int, width: Int) {
    guard case .suspicious = method, !prototypes.methods.isEmpty else { return }
    let normaliser = AttentionNormaliser(side: crop)
    let centre = CropGeometry.centre(height: height, width: width, side: crop)
    gathering = Gathering(
      prototypes: prototypes, normaliser: normaliser,
      scratch: AlignedMemory(size: capacity * normaliser.scratchCount * 4), top: centre.top,
      left: centre.left)
  }

  /// Erases in place.
  ///
  /// - Parameter gathers: whether the maps count for the epoch's prototypes.
  public func erase(_ batch: Batch, gathers: Bool = false) {
    timing = Timing()
    erased = 0
    if case .none = method { return }
    precondition(batch.count <= capacity, "a batch of at most \(capacity) images was planned")
    for i in 0..<batch.count {
      streams[i] = ErasingStreams(
        seed: seed, epoch: UInt64(batch.visits[i]), sample: UInt64(batch.identifiers[i]))
      if streams[i].chooses(probability: probability) {
        chosen[erased] = i
        erased += 1
      }
    }
    if erased == 0 { return }
    let images = batch.images.baseAddress!
    self.images = images
    let start = Stopwatch()
    switch method {
    case .none, .random: break
    case .activation(_, let program):
      // Inference takes a contiguous batch: up to the last chosen image.
      program.run(
        images: images, count: chosen[erased - 1] + 1, logits: logits.floats(),
        activationMaps: maps.floats())
    case .suspicious(_, let program):
      program.run(
        images: images, selected: UnsafeBufferPointer(rebasing: chosen[..<erased]), logits: nil,
        gradients: gradients.floats())
    }
    timing.attention = start.seconds
    gathering?.batch = gathers ? batch : nil
    workers.run(erased, eraseOne)
    if gathers, gathering != nil { gatherMaps(of: batch) }
    timing.erasing = start.seconds - timing.attention
  }

  /// One image, once its map is there.
  private func erase(chosenImage i: Int) {
    let place = chosen[i]
    let pixels = crop * crop
    let image = UnsafeMutableBufferPointer(
      start: images! + place * pixels * 3, count: pixels * 3)
    switch method {
    case .none: break
    case .random(let settings):
      eraseRandomly(
        image: image, height: crop, width: crop, settings: settings, streams: &streams[place])
    case .suspicious(let settings, _):
      let map = UnsafeMutableBufferPointer(start: maps.floats() + i * pixels, count: pixels)
      forgeryAttentionMap(
        inputGradient: UnsafeBufferPointer(
          start: gradients.floats() + i * pixels * 3, count: pixels * 3),
        height: crop, width: crop, into: map)
      eraseSuspiciousForgeries(
        image: image, attention: UnsafeBufferPointer(map), height: crop, width: crop,
        settings: settings, streams: &streams[place],
        into: UnsafeMutableBufferPointer(rebasing: rectangles[i * blocks..<(i + 1) * blocks]))
      if let gathering, let batch = gathering.batch, gathering.wants(place, of: batch) {
        gathering.normaliser.normalise(
          map.baseAddress!,
          scratch: gathering.scratch.floats() + i * gathering.normaliser.scratchCount)
      }
    case .activation(let settings, let program):
      let (height, width) = (program.featureHeight, program.featureWidth)
      let size = height * width
      let real = maps.floats() + place * 2 * size
      let fake = real + size
      let activation = UnsafeMutableBufferPointer(
        start: gradients.floats() + i * pixels, count: pixels)
      withUnsafeTemporaryAllocation(of: Float.self, capacity: size) { difference in
        for p in 0..<size { difference[p] = fake[p] - real[p] }
        resizeBilinear(
          UnsafeBufferPointer(difference), height: height, width: width, into: activation,
          height: crop, width: crop)
      }
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: pixels) { mask in
        eraseAttention(
          image: image, activation: UnsafeBufferPointer(activation), settings: settings,
          streams: &streams[place], into: mask)
      }
    }
  }

  // MARK: Prototypes of the epoch

  /// Adds the normalised maps that `erase(chosenImage:)` has left, in the order of the batch.
  private func gatherMaps(of batch: Batch) {
    for i in 0..<erased where isGathered(i, batch) {
      gathering!.prototypes.count(method: Int(batch.methods[chosen[i]]) - 1)
    }
    workers.run(Self.bands, gatherBand)
    gathering!.batch = nil
  }

  /// Whether the i-th chosen image is wanted and its map finite: else the map is NaN throughout.
  private func isGathered(_ i: Int, _ batch: Batch) -> Bool {
    gathering!.wants(chosen[i], of: batch) && maps.floats()[i * crop * crop].isFinite
  }

  private func gather(band: Int) {
    guard let gathering, let batch = gathering.batch else { return }
    let rows = band * crop / Self.bands..<(band + 1) * crop / Self.bands
    for i in 0..<erased where isGathered(i, batch) {
      let geometry = batch.geometries[chosen[i]]
      gathering.prototypes.add(
        maps.floats() + i * crop * crop, method: Int(batch.methods[chosen[i]]) - 1,
        placement: MapPlacement(
          down: geometry.top - gathering.top, right: geometry.left - gathering.left,
          isFlipped: geometry.isFlipped),
        rows: rows)
    }
  }
}
