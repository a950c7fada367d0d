import Configuration
import FaceShards
import ForgeryMining
import Foundations
import Images
import Networks
import Tensors

/// Steps 1 and 2 of the algorithm on a batch: asks the detector what the erasing method wants to know,
/// and erases.
///
/// The methods themselves are values of `ForgeryMining`; here they meet the detector. Only images that
/// were chosen for erasing take the attention pass. Every draw is keyed by seed, visit and sample, so the
/// number of ranks leaves no trace.
public final class BatchErasing {
  /// Seconds of the last `erase`.
  public struct Timing: Sendable {
    public var attention = 0.0
    public var erasing = 0.0
  }

  public private(set) var timing = Timing()
  /// Images erased by the last `erase`.
  public private(set) var erased = 0

  /// The program that makes the maps which guide a method.
  private enum Guide {
    case nothing
    case classActivation(InferenceProgram)
    case forgeryAttention(AttentionProgram)
  }

  let method: any ErasingMethod
  private let ramp: ErasingRamp
  /// The update that images are erased for, from 1: how far ``ErasingRamp`` has come. Ramps are over
  /// unless it is set.
  public var update = Int.max
  private let guide: Guide
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
  /// What the program of the guide leaves: gradients to the input, or class activations.
  private let raw: AlignedMemory
  /// The guide of every chosen image, `[chosen, crop, crop]`.
  private let maps: AlignedMemory
  private let logits: AlignedMemory
  /// What the method works in, a part for each chosen image.
  private let scratch: AlignedMemory
  private let scratchStride: Int

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

    /// Fakes, each once an epoch: a mean over images, not over how often they were drawn. What was
    /// warped shows its traces in other places.
    func wants(_ place: Int, of batch: Batch) -> Bool {
      batch.labels[place] != 0 && batch.newInEpoch[place] == prototypes.epoch
        && !batch.warped[place]
    }
  }

  /// - Parameters:
  ///   - batch: most images of a batch.
  ///   - training: the update's pass, whose working weights serve here too where the precision is
  ///     the same; it is refreshed first.
  public convenience init(
    _ configuration: Configuration, _ detector: Detector, batch: Int, workers: WorkerPool,
    sharing training: TrainingProgram? = nil
  ) {
    self.init(
      configuration.augmentation.erasing(crop: configuration.data.crop), configuration, detector,
      batch: batch, workers: workers, sharing: training)
  }

  /// The same with a method of the caller's, whatever the configuration names.
  init(
    _ method: any ErasingMethod, _ configuration: Configuration, _ detector: Detector, batch: Int,
    workers: WorkerPool, sharing training: TrainingProgram? = nil
  ) {
    self.method = method
    ramp = configuration.augmentation.ramp
    let precision = Precision(rawValue: configuration.training.precision.attention.rawValue)!
    // What is erased must not depend on the number of ranks where that is promised.
    let groupSize = DetectorGroups.size(
      images: batch, alone: configuration.training.batchNorm == .synchronized)
    crop = configuration.data.crop
    seed = UInt64(configuration.run.seed)
    capacity = batch
    self.workers = workers
    chosen = .allocate(capacity: batch)
    chosen.initialize(repeating: 0)
    streams = .allocate(capacity: batch)
    streams.initialize(repeating: ErasingStreams(seed: 0, epoch: 0, sample: 0))
    let pixels = crop * crop
    var rawFloats = 0
    switch method.guide {
    case .nothing: guide = .nothing
    case .classActivation:
      let program = InferenceProgram(
        detector, crop: crop, precision: precision, groupSize: groupSize, workers: workers,
        sharing: training)
      guide = .classActivation(program)
      rawFloats = batch * 2 * program.featureHeight * program.featureWidth
    case .forgeryAttention:
      guide = .forgeryAttention(
        AttentionProgram(
          detector, crop: crop, precision: precision, groupSize: groupSize, workers: workers,
          sharing: training))
      rawFloats = batch * pixels * 3
    }
    raw = AlignedMemory(size: rawFloats * 4)
    maps = AlignedMemory(size: rawFloats == 0 ? 0 : batch * pixels * 4)
    logits = AlignedMemory(size: batch * 8)
    scratchStride = (method.scratchSize(height: crop, width: crop) + 63) / 64 * 64
    scratch = AlignedMemory(size: batch * scratchStride)
    eraseOne = { [unowned self] i, _ in erase(chosenImage: i) }
    gatherBand = { [unowned self] band, _ in gather(band: band) }
  }

  deinit {
    chosen.deallocate()
    streams.deallocate()
  }

  /// Follows the detector. Call after weights or running statistics changed.
  public func refresh() {
    switch guide {
    case .nothing: break
    case .classActivation(let program): program.refresh()
    case .forgeryAttention(let program): program.refresh()
    }
  }

  /// Hands the maps of fake images that training erases to `prototypes` from now on; only a method that
  /// goes by Forgery Attention Maps has any.
  ///
  /// - Parameters:
  ///   - height: rows of the images that crops are cut from.
  ///   - width: their columns.
  public func gather(into prototypes: EpochPrototypeGatherer, height: Int, width: Int) {
    guard method.guide == .forgeryAttention, !prototypes.methods.isEmpty else { return }
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
    precondition(batch.count <= capacity, "a batch of at most \(capacity) images was planned")
    let probability = method.probability * ramp.probabilityShare(at: update)
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
    switch guide {
    case .nothing: break
    case .classActivation(let program):
      // Inference takes a contiguous batch: up to the last chosen image.
      program.run(
        images: images, count: chosen[erased - 1] + 1, logits: logits.floats(),
        activationMaps: raw.floats())
    case .forgeryAttention(let program):
      program.run(
        images: images, selected: UnsafeBufferPointer(rebasing: chosen[..<erased]), logits: nil,
        gradients: raw.floats())
    }
    timing.attention = start.seconds
    gathering?.batch = gathers ? batch : nil
    workers.run(erased, eraseOne)
    if gathers, gathering != nil { gatherMaps(of: batch) }
    timing.erasing = start.seconds - timing.attention
  }

  /// One image, once the program of the guide has run.
  private func erase(chosenImage i: Int) {
    let place = chosen[i]
    let pixels = crop * crop
    let map = findGuide(chosenImage: i)
    method.erase(
      ErasedImage(
        pixels: UnsafeMutableBufferPointer(
          start: images! + place * pixels * 3, count: pixels * 3),
        guide: UnsafeBufferPointer(map), height: crop, width: crop,
        extent: ramp.extent(at: max(1, update)),
        scratch: UnsafeMutableRawBufferPointer(
          start: scratch.address + i * scratchStride, count: scratchStride)),
      streams: &streams[place])
    if let gathering, let batch = gathering.batch, gathering.wants(place, of: batch) {
      gathering.normaliser.normalise(
        map.baseAddress!,
        scratch: gathering.scratch.floats() + i * gathering.normaliser.scratchCount)
    }
  }

  /// The guide of one image, of what the program has left; empty where there is none.
  private func findGuide(chosenImage i: Int) -> UnsafeMutableBufferPointer<Float> {
    let pixels = crop * crop
    if case .nothing = guide { return UnsafeMutableBufferPointer(start: nil, count: 0) }
    let map = UnsafeMutableBufferPointer(start: maps.floats() + i * pixels, count: pixels)
    switch guide {
    case .nothing: break
    case .forgeryAttention:
      forgeryAttentionMap(
        inputGradient: UnsafeBufferPointer(
          start: raw.floats() + i * pixels * 3, count: pixels * 3),
        height: crop, width: crop, into: map)
    case .classActivation(let program):
      let (height, width) = (program.featureHeight, program.featureWidth)
      let size = height * width
      let real = raw.floats() + chosen[i] * 2 * size
      let fake = real + size
      withUnsafeTemporaryAllocation(of: Float.self, capacity: size) { difference in
        for p in 0..<size { difference[p] = fake[p] - real[p] }
        resizeBilinear(
          UnsafeBufferPointer(difference), height: height, width: width, into: map,
          height: crop, width: crop)
      }
    }
    return map
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
