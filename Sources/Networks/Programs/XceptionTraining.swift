import CKernels
import Tensors

/// The update's pass of Xception.
///
/// A layer runs as tasks, one an image (several where maps are small), each a chain of tiles: load
/// with normalisation and ReLU, depthwise, matrix multiply, partial sums while the tile is hot. A
/// batch norm's statistics need the whole batch, so the tasks of a layer meet before the next.
/// `forward` and `backward` may be called several times, with `accumulate`, for one update.
final class XceptionTraining: TrainingEngine, @unchecked Sendable {
  let detector: Detector
  let crop: Int
  /// Images a pass.
  let batch: Int
  var precision: Precision { kernels.precision }
  /// (batch, 2): real and fake logit of each image of the last forward pass.
  let logits: UnsafeMutableBufferPointer<Float>

  let layers: XceptionLayers
  let geometry: NetworkGeometry
  let kernels: Kernels
  let weights: WorkingWeights
  let workers: WorkerPool
  let buffers: TrainingBuffers
  let tiles: [InferenceTile]
  let states: [BatchNormState]
  let reduction: StatisticsReduction?
  let gradients: GradientArena
  let ones: UnsafePointer<Float>
  let zeros: UnsafePointer<Float>
  var images: UnsafePointer<Float>
  /// The backward pass under way adds to the gradients.
  private(set) var accumulates = false
  /// Told during `backward` of gradients that are final, by the count of arena elements from the
  /// front. Set it once: nothing is allocated in a step then.
  var finished: (Int) -> Void = { _ in }
  private var labels: UnsafePointer<UInt8>
  private let drops: DropMasks?
  private let smoothing: Double
  private let constants: AlignedMemory

  /// A pass is a fixed list of these, made once: a step plans and allocates nothing.
  private enum Step {
    case tasks(Int, (_ task: Int, _ worker: Int) -> Void)
    case serial(() throws -> Void)
  }
  /// The list being made.
  private var steps: [Step] = []
  private var forwardSteps: [Step] = []
  private var backwardSteps: [Step] = []

  var table: rfm_kernel_table { kernels.table }

  /// - Parameters:
  ///   - batch: images a pass.
  ///   - reduction: normalises over the batches of all ranks (`batch_norm: synchronized`), and
  ///     makes the gradients of a global batch the same on any number of ranks; nil: each rank
  ///     normalises over its own batch.
  init(
    _ detector: Detector, _ layers: XceptionLayers, crop: Int, batch: Int, precision: Precision,
    workers: WorkerPool, reduction: StatisticsReduction?,
    regularisation: Regularisation = Regularisation()
  ) {
    self.detector = detector
    self.crop = crop
    self.batch = batch
    self.workers = workers
    self.reduction = reduction
    drops = DropMasks(
      regularisation, features: layers.classifier.features, branches: [], widest: 0, batch: batch)
    smoothing = regularisation.labelSmoothing
    self.layers = layers
    geometry = NetworkGeometry(layers, crop: crop)
    kernels = Kernels(precision)
    weights = WorkingWeights(detector, kernels: kernels)
    let packs = weights.isPacked
    gradients = GradientArena(detector, inDouble: reduction != nil)
    buffers = TrainingBuffers(
      layers, geometry, batch: batch, precision: precision, lanesOnly: reduction != nil,
      packsPairs: packs)
    let (layers, geometry) = (layers, geometry)
    tiles = (0..<workers.count).map { _ in
      InferenceTile(
        layers, geometry, precision: precision, images: Self.joinedImages, forBackward: true,
        packsWeightGradients: packs)
    }
    states = layers.norms.map(BatchNormState.init)
    let widest = layers.norms.map(\.stride).max()!
    constants = AlignedMemory(size: (2 * widest + 2 * batch) * 4)
    for c in 0..<widest { constants.floats()[c] = 1 }
    ones = UnsafePointer(constants.floats())
    zeros = UnsafePointer(constants.floats() + widest)
    logits = UnsafeMutableBufferPointer(start: constants.floats() + 2 * widest, count: 2 * batch)
    images = UnsafePointer(constants.floats())
    labels = UnsafePointer(UnsafeRawPointer(constants.address).assumingMemoryBound(to: UInt8.self))
    planForward()
    planAveragePool()
    swap(&steps, &forwardSteps)
    planBackward()
    swap(&steps, &backwardSteps)
  }

  /// Images of a task where maps are small.
  static let joinedImages = 4

  /// Images of a task on maps of this size.
  ///
  /// With statistics of all ranks it is always one: which images share a matrix multiply may touch
  /// the rounding, and must not depend on the number of ranks.
  func imagesPerTask(_ size: MapSize) -> Int {
    Tiling.joins(size) && reduction == nil ? Self.joinedImages : 1
  }

  /// Plans a layer on maps of `size` as tasks for all workers; returns their number.
  @discardableResult
  func planTasks(
    _ size: MapSize,
    _ body: @escaping (_ task: Int, _ images: Range<Int>, _ tile: InferenceTile) -> Void
  ) -> Int {
    let each = imagesPerTask(size)
    let tasks = (batch + each - 1) / each
    let (batch, tiles) = (batch, tiles)
    steps.append(
      .tasks(tasks) { task, worker in
        body(task, task * each..<min(batch, (task + 1) * each), tiles[worker])
      })
    return tasks
  }

  /// Plans `parts` independent pieces of work for all workers.
  func planParallel(_ parts: Int, _ body: @escaping (_ part: Int) -> Void) {
    steps.append(.tasks(parts) { part, _ in body(part) })
  }

  /// Plans work between layers, done by the calling thread.
  func planSerial(_ body: @escaping () throws -> Void) { steps.append(.serial(body)) }

  private func run(_ steps: [Step]) throws {
    for step in steps {
      switch step {
      case .tasks(let count, let body): workers.run(count, body)
      case .serial(let body): try body()
      }
    }
  }

  func state(_ norm: BatchNorm) -> BatchNormState { states[norm.index] }

  func plain(_ x: UnsafeRawPointer, channels: Int, rectified: Bool) -> rfm_activation {
    rfm_activation(
      data: x, scale: ones, shift: zeros, floor: rectified ? 0 : noFloor,
      ld: Int32(paddedChannels(channels)))
  }

  /// This pass's working weights, if they are that detector's in that precision.
  func weights(for detector: Detector, _ precision: Precision) -> WorkingWeights? {
    detector === self.detector && precision == self.precision ? weights : nil
  }

  /// Follows the weights. Call after they changed and before the next `forward`.
  func refresh() { weights.refresh(workers) }

  /// Forward with the batch's statistics; updates the running ones.
  ///
  /// - Parameters:
  ///   - images: float32 (batch, crop, crop, 3), normalised. Must stay until `backward` is done.
  ///   - labels: 0 real, 1 fake, likewise.
  /// - Returns: the mean cross-entropy of the batch.
  /// - Throws: what the reduction over ranks throws.
  func forward(
    images: UnsafePointer<Float>, labels: UnsafePointer<UInt8>, keys: SampleKeys?
  ) throws -> Double {
    self.images = images
    self.labels = labels
    drops?.draw(keys)
    try run(forwardSteps)
    return classify()
  }

  private func planAveragePool() {
    let stride = paddedChannels(layers.classifier.features)
    let pixels = geometry.features.pixels
    let last = state(layers.conv4.norm).normalised(buffers.conv4, rectified: true)
    let (table, buffers, precision, drops) = (table, buffers, precision, drops)
    planTasks(geometry.features) { _, range, _ in
      for image in range {
        var part = last.advanced(by: image * pixels * stride, precision)
        table.average_pool(&part, buffers.pooled + image * stride, Int32(pixels))
        drops?.dropOut(buffers.pooled + image * stride, image: image)
      }
    }
  }

  /// Averaged features to logits and the mean cross-entropy.
  private func classify() -> Double {
    let stride = paddedChannels(layers.classifier.features)
    var loss = 0.0
    for image in 0..<batch {
      let (real, fake) = layers.classifier.logits(of: buffers.pooled + image * stride, detector)
      logits[2 * image] = real
      logits[2 * image + 1] = fake
      loss += CrossEntropy.loss(
        real: Double(real), fake: Double(fake), label: labels[image], smoothing: smoothing)
    }
    return loss / Double(batch)
  }

  /// Gradients of the mean cross-entropy of the last `forward` for every weight, into
  /// `detector.gradients`.
  ///
  /// With a reduction they come with `finishGradients`.
  ///
  /// - Parameters:
  ///   - accumulate: add to the gradients instead of replacing them.
  /// - Throws: what the reduction over ranks throws.
  func backward(accumulate: Bool) throws {
    accumulates = accumulate
    seedBackward(accumulate: accumulate)
    try run(backwardSteps)
  }

  /// With a reduction: sums the gradients over ranks into `detector.gradients`, after the last of an
  /// update's backward passes. Without one they are there already, of this rank alone.
  func finishGradients() throws {
    if let reduction { try gradients.finish(reduction) }
  }

  /// Gradients are summed over ranks by `finishGradients`, not by the caller.
  var reducesGradients: Bool { gradients.isWide }

  /// The classifier's gradients, and those of the averaged features.
  private func seedBackward(accumulate: Bool) {
    let count = layers.classifier.features
    let stride = paddedChannels(count)
    let weight = detector.value(layers.classifier.weight)
    let weightOffset = detector.parameters[layers.classifier.weight].offset
    let biasOffset = detector.parameters[layers.classifier.bias].offset
    if !accumulate {
      gradients.clear(weightOffset..<weightOffset + 2 * count)
      gradients.clear(biasOffset..<biasOffset + 2)
      for norm in layers.norms {
        for parameter in [norm.weight, norm.bias] {
          let offset = detector.parameters[parameter].offset
          gradients.clear(offset..<offset + norm.channels)
        }
      }
    }
    for image in 0..<batch {
      // ∂(mean cross-entropy)/∂z_k = (softmax_k − [k = label])/batch; the two are opposite.
      let fake = Float(
        CrossEntropy.fakeGradient(
          real: Double(logits[2 * image]), fake: Double(logits[2 * image + 1]),
          label: labels[image], smoothing: smoothing) / Double(batch))
      let pooled = buffers.pooled + image * stride
      let gradient = buffers.pooledGradient + image * stride
      for c in 0..<count {
        let product = Double(fake) * Double(pooled[c])
        gradients.add(-product, at: weightOffset + c)
        gradients.add(product, at: weightOffset + count + c)
        gradient[c] = fake * (weight[count + c] - weight[c])
      }
      drops?.dropOut(gradient, image: image)
      gradients.add(-Double(fake), at: biasOffset)
      gradients.add(Double(fake), at: biasOffset + 1)
    }
  }
}
