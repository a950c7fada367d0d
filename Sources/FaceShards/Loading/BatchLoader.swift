import Foundation
import Images
import Tensors

/// Which samples a loader reads, one batch after another.
enum BatchPlan: Sendable {
  case training(TrainingPlan)
  /// Every one of the samples once, degraded.
  case evaluation([Int], [Degradation])
}

/// What a loader reads for training, endlessly, and what it does to it.
struct TrainingPlan: Sendable {
  let order: SampleOrder
  let rank: Int
  let ranks: Int
  /// Where in the order the first global batch begins, of which this rank takes its part.
  let position: Int
  let epochLength: Int
  let flips: Bool
  let augmentations: Augmentations
  /// Makes the fakes that the order wants; nil: it wants none.
  let selfBlender: SelfBlender?

  /// Whether images are anything but cut.
  var changesImages: Bool { !augmentations.isEmpty || selfBlender != nil }
}

/// Reads batches ahead, on a thread of its own, so that the step does not wait for the disk.
///
/// ```swift
/// let order = try SampleOrder(labels: set.labels, kind: .balanced, seed: 5)
/// let loader = try BatchLoader(
///   training: set, order: order, batchSize: 16, crop: 224, rank: 0, ranks: 4, position: 0)
/// while let batch = try loader.next() { … }
/// ```
///
/// A ring of batches is allocated once; what the consumer holds is never written to. When reading
/// fails, the batches before the failure are delivered, then ``next()`` throws the error, every time.
/// The thread ends with the loader, at the latest after the image that it is reading.
public final class BatchLoader {
  /// Seconds that the consumer has waited for batches in all.
  public var waitedSeconds: Double {
    Double(waited.components.seconds) + 1e-18 * Double(waited.components.attoseconds)
  }

  public let batchSize: Int
  public let crop: Int

  private let ring: BatchRing
  private var waited = Duration.zero

  /// Loads for training: fakes made where the order wants them, augmented, random crops and flips, endlessly.
  ///
  /// The global batch is `batchSize · ranks` samples; with gradient accumulation, it is one part of
  /// the accumulated batch.
  ///
  /// - Parameters:
  ///   - set: where images are read.
  ///   - order: which are read, and of which fakes are made.
  ///   - batchSize: images in a batch of this rank.
  ///   - crop: side of the crop; at most the images' sides.
  ///   - flips: whether every other image is mirrored.
  ///   - rank: this rank.
  ///   - ranks: how many ranks share the order.
  ///   - position: where in the order the first global batch begins.
  ///   - epochLength: positions in an epoch of the job; nil for the order's own.
  ///   - augmentations: what is done to the whole images first.
  ///   - threads: images that are read and augmented at once.
  ///   - normalisation: see `PixelNormalisation`.
  ///   - depth: batches that are read ahead, 1 or more.
  public convenience init(
    training set: ShardSet, order: SampleOrder, batchSize: Int, crop: Int, flips: Bool = true,
    rank: Int = 0, ranks: Int = 1, position: Int = 0, epochLength: Int? = nil,
    augmentations: Augmentations = .init(), threads: Int = 1,
    normalisation: PixelNormalisation = .init(), depth: Int = 3
  ) throws {
    precondition(
      ranks > 0 && (0..<ranks).contains(rank) && position >= 0, "rank \(rank) of \(ranks)")
    let plan = TrainingPlan(
      order: order, rank: rank, ranks: ranks, position: position,
      epochLength: epochLength ?? order.epochLength, flips: flips, augmentations: augmentations,
      selfBlender: order.selfBlended.isNone
        ? nil : SelfBlender(set: set, seed: order.seed, share: order.selfBlended.value))
    try self.init(
      set: set, plan: .training(plan), batchSize: batchSize, crop: crop,
      normalisation: normalisation, depth: depth,
      readers: plan.changesImages ? threads : ImageReaders.usual)
  }

  /// Loads for evaluation: centre crops of `samples`, each once, the last batch smaller if need be.
  /// For all samples split over ranks, give `WorkDivision.part(of: set.count, …)`.
  ///
  /// - Parameter degradations: what is done to the whole images first, one after another.
  public convenience init(
    evaluating set: ShardSet, samples: some Sequence<Int>, batchSize: Int, crop: Int,
    normalisation: PixelNormalisation = .init(), degradations: [Degradation] = [], depth: Int = 2
  ) throws {
    let samples = Array(samples)
    precondition(
      samples.allSatisfy { (0..<set.count).contains($0) }, "samples lie in 0..<\(set.count)")
    try self.init(
      set: set, plan: .evaluation(samples, degradations), batchSize: batchSize, crop: crop,
      normalisation: normalisation, depth: depth, readers: ImageReaders.usual)
  }

  private init(
    set: ShardSet, plan: BatchPlan, batchSize: Int, crop: Int, normalisation: PixelNormalisation,
    depth: Int, readers: Int
  ) throws {
    precondition(batchSize > 0 && crop > 0 && depth > 0, "batch size, crop and depth are positive")
    try set.checkFits(crop: crop)
    self.batchSize = batchSize
    self.crop = crop
    // One more than is read ahead: the consumer holds one.
    ring = BatchRing(
      batches: (0...depth).map { _ in Batch(capacity: batchSize, crop: crop) })
    let filler = BatchFiller(
      set: set, plan: plan, batchSize: batchSize, normalisation: normalisation, readers: readers)
    let ring = ring
    let thread = Thread { ring.run(filler) }
    thread.name = "rfm-loader"
    thread.start()
  }

  deinit { ring.stop() }

  /// The next batch, or `nil` at the end of an evaluation. The one before is no longer valid.
  public func next() throws -> Batch? {
    let (result, seconds) = ring.take()
    waited += seconds
    return try result.get()
  }
}

/// The batches between the loader's thread and the consumer.
///
/// Batch `n` of the sequence lives in slot `n % slots`. The thread fills slot `filled % slots` while
/// `filled - released < slots`; the consumer takes batch `taken` once `taken < filled`.
private final class BatchRing: @unchecked Sendable {
  private let slots: [Batch]
  private let condition = NSCondition()
  // All of the following are guarded by the condition's lock.
  private var filled = 0
  private var taken = 0
  private var isStopped = false
  private var isThreadDone = false
  private var failure: (any Error)?

  init(batches: [Batch]) { slots = batches }

  /// The thread's life.
  func run(_ filler: BatchFiller) {
    var filler = filler
    var failure: (any Error)?
    while true {
      condition.lock()
      // The batch that the consumer took last is in its hands until it takes another.
      while !isStopped && filled - max(0, taken - 1) >= slots.count { condition.wait() }
      let goesOn = !isStopped
      let slot = slots[filled % slots.count]
      condition.unlock()
      guard goesOn else { break }
      do {
        guard try filler.fill(slot, isStopped: { self.isStoppedNow }) else { break }
      } catch {
        failure = error
        break
      }
      condition.lock()
      filled += 1
      condition.broadcast()
      condition.unlock()
    }
    condition.lock()
    self.failure = failure
    isThreadDone = true
    condition.broadcast()
    condition.unlock()
  }

  private var isStoppedNow: Bool {
    condition.lock()
    defer { condition.unlock() }
    return isStopped
  }

  func take() -> (Result<Batch?, any Error>, Duration) {
    condition.lock()
    defer { condition.unlock() }
    var waited = Duration.zero
    if taken >= filled && !isThreadDone {
      let clock = ContinuousClock()
      let start = clock.now
      while taken >= filled && !isThreadDone { condition.wait() }
      waited = clock.now - start
    }
    if taken < filled {
      let batch = slots[taken % slots.count]
      taken += 1
      condition.broadcast()
      return (.success(batch), waited)
    }
    if let failure { return (.failure(failure), waited) }
    return (.success(nil), waited)
  }

  /// Ends the thread and waits until it has ended.
  func stop() {
    condition.lock()
    isStopped = true
    condition.broadcast()
    while !isThreadDone { condition.wait() }
    condition.unlock()
  }
}

/// Fills batches in the order of the plan.
private struct BatchFiller: Sendable {
  let set: ShardSet
  let plan: BatchPlan
  let batchSize: Int
  let normalisation: PixelNormalisation
  /// Batches filled so far.
  private var batches = 0
  private let readers: ImageReaders
  private var draws: [SampleDraw] = []
  private var readingOrder: [Int] = []

  init(
    set: ShardSet, plan: BatchPlan, batchSize: Int, normalisation: PixelNormalisation, readers: Int
  ) {
    self.set = set
    self.plan = plan
    self.batchSize = batchSize
    self.normalisation = normalisation
    self.readers = ImageReaders(count: min(readers, batchSize), imageSize: set.imageSize)
    draws.reserveCapacity(batchSize)
    readingOrder.reserveCapacity(batchSize)
  }

  /// Fills `batch`; false at the end, or when stopped in between.
  mutating func fill(_ batch: Batch, isStopped: @Sendable () -> Bool) throws -> Bool {
    draws.removeAll(keepingCapacity: true)
    switch plan {
    case .training(let plan):
      let start = plan.position + (batches * plan.ranks + plan.rank) * batchSize
      batch.position = start
      for i in 0..<batchSize {
        draws.append(plan.order.draw(at: start + i))
        let epoch = (start + i) / plan.epochLength
        let isNew = plan.order.isFirstDraw(at: start + i, since: epoch * plan.epochLength)
        batch.set(i, newInEpoch: isNew ? epoch : -1)
      }
    case .evaluation(let samples, _):
      let start = batches * batchSize
      guard start < samples.count else { return false }
      batch.position = start
      for i in start..<min(start + batchSize, samples.count) {
        draws.append(SampleDraw(sample: samples[i], visit: 0))
      }
    }
    batch.count = draws.count
    for i in draws.indices { batch.set(i, draws[i], in: set) }
    // Row after row of shard after shard, as disks like it.
    readingOrder.removeAll(keepingCapacity: true)
    readingOrder.append(contentsOf: draws.indices)
    let draws = draws
    readingOrder.sort { draws[$0].sample < draws[$1].sample }
    let places = readingOrder
    try readers.forEach(places.count) { turn, image in
      // The first place of a sample reads it for all that follow.
      let sample = draws[places[turn]].sample
      guard turn == 0 || draws[places[turn - 1]].sample != sample, !isStopped() else { return }
      try read(sample, into: &image)
      for i in places[turn...].prefix(while: { draws[$0].sample == sample }) {
        try fill(batch, i, draws[i], with: image)
      }
    }
    if isStopped() { return false }
    batches += 1
    return true
  }

  /// Changes a whole image as the plan says, and cuts it to its place in a batch.
  private func fill(_ batch: Batch, _ i: Int, _ draw: SampleDraw, with image: [UInt8]) throws {
    guard case .training(let plan) = plan, plan.changesImages else {
      return cut(image, to: batch, i, isWarped: false)
    }
    var picture = RGBImage(width: set.width, height: set.height, pixels: image)
    if let blender = plan.selfBlender { picture = try blender.picture(of: draw, picture) }
    var augmented = AugmentedImage(picture)
    try plan.augmentations.apply(
      to: &augmented, seed: plan.order.seed, visit: draw.visit, sample: batch.identifiers[i])
    cut(augmented.picture.pixels, to: batch, i, isWarped: augmented.isWarped)
  }

  /// Cuts a whole image to its place in a batch.
  private func cut(_ image: [UInt8], to batch: Batch, _ i: Int, isWarped: Bool) {
    let geometry = geometry(batch, i)
    batch.set(i, geometry, isWarped: isWarped)
    image.withUnsafeBufferPointer {
      normalisation.cut(geometry, of: $0, width: set.width, into: batch.image(i))
    }
  }

  /// Brings a sample's image into `image`, degraded if the plan says so.
  private func read(_ sample: Int, into image: inout [UInt8]) throws {
    try image.withUnsafeMutableBufferPointer { try set.readImage(sample, into: $0) }
    guard case .evaluation(_, let degradations) = plan, !degradations.isEmpty else { return }
    var degraded = RGBImage(width: set.width, height: set.height, pixels: image)
    for degradation in degradations {
      degraded = try degradation.applied(to: degraded, sample: set.identifier(of: sample))
    }
    image = degraded.pixels
  }

  private func geometry(_ batch: Batch, _ i: Int) -> CropGeometry {
    switch plan {
    case .training(let plan):
      .random(
        height: set.height, width: set.width, side: batch.crop, flips: plan.flips,
        seed: plan.order.seed, visit: batch.visits[i], sample: batch.identifiers[i])
    case .evaluation:
      .centre(height: set.height, width: set.width, side: batch.crop)
    }
  }
}
