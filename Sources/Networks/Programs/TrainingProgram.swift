import Tensors

/// The update's pass: forward with batch statistics, cross-entropy, backward to every weight.
///
/// `forward` and `backward` may be called several times, with `accumulate`, for one update.
public final class TrainingProgram: @unchecked Sendable {
  public let detector: Detector
  public let crop: Int
  /// Images a pass.
  public let batch: Int
  private let engine: GraphTraining

  public var precision: Precision { engine.precision }
  /// (batch, 2): real and fake logit of each image of the last forward pass.
  public var logits: UnsafeMutableBufferPointer<Float> { engine.logits }

  /// Told during `backward` of gradients that are final, by the count of arena elements from the
  /// front. Set it once: nothing is allocated in a step then.
  public var finished: (Int) -> Void {
    get { engine.finished }
    set { engine.finished = newValue }
  }

  /// - Parameters:
  ///   - batch: images a pass.
  ///   - reduction: normalises over the batches of all ranks (`batch_norm: synchronized`), and
  ///     makes the gradients of a global batch the same on any number of ranks; nil: each rank
  ///     normalises over its own batch.
  ///   - regularisation: what is left out and smoothed.
  public init(
    _ detector: Detector, crop: Int, batch: Int, precision: Precision = .float32,
    workers: WorkerPool, reduction: StatisticsReduction? = nil,
    regularisation: Regularisation = Regularisation()
  ) {
    precondition(batch >= 1, "a batch has at least one image")
    self.detector = detector
    self.crop = crop
    self.batch = batch
    engine = GraphTraining(
      detector, detector.graph, crop: crop, batch: batch, precision: precision, workers: workers,
      reduction: reduction, regularisation: regularisation)
  }

  /// This pass's working weights, if they are that detector's in that precision.
  func weights(for detector: Detector, _ precision: Precision) -> WorkingWeights? {
    engine.weights(for: detector, precision)
  }

  /// Follows the weights. Call after they changed and before the next `forward`.
  public func refresh() { engine.refresh() }

  /// Forward with the batch's statistics; updates the running ones.
  ///
  /// - Parameters:
  ///   - images: float32 (batch, crop, crop, 3), normalised. Must stay until `backward` is done.
  ///   - labels: 0 real, 1 fake, likewise.
  ///   - keys: whose draws the images have; needed where something is dropped.
  /// - Returns: the mean cross-entropy of the batch.
  /// - Throws: what the reduction over ranks throws.
  public func forward(
    images: UnsafePointer<Float>, labels: UnsafePointer<UInt8>, keys: SampleKeys? = nil
  ) throws -> Double {
    try engine.forward(images: images, labels: labels, keys: keys)
  }

  /// Gradients of the mean cross-entropy of the last `forward` for every weight, into
  /// `detector.gradients`.
  ///
  /// With a reduction they come with `finishGradients`.
  ///
  /// - Parameters:
  ///   - accumulate: add to the gradients instead of replacing them.
  /// - Throws: what the reduction over ranks throws.
  public func backward(accumulate: Bool = false) throws {
    try engine.backward(accumulate: accumulate)
  }

  /// With a reduction: sums the gradients over ranks into `detector.gradients`, after the last of an
  /// update's backward passes. Without one they are there already, of this rank alone.
  public func finishGradients() throws { try engine.finishGradients() }

  /// Gradients are summed over ranks by `finishGradients`, not by the caller.
  public var reducesGradients: Bool { engine.reducesGradients }

  /// Begins to measure where workers spend their time, or begins anew; it goes on until the program ends.
  public func measureOperations() { engine.measure() }

  /// Operations in forward order, with what a batch costs and, since ``measureOperations()``, took. The way
  /// back holds both gradients.
  public func operationProfiles() -> [OperationProfile] { engine.profiles() }

  // MARK: Where numbers stopped being finite

  /// Names of the layers in forward order, the head last.
  public var layerNames: [String] { engine.layerNames }

  /// What a forward pass makes, in its order, in words: each layer's output, then the statistics of
  /// its batch norm.
  public var outputNames: [String] { engine.outputNames }

  /// The first thing, as a place in ``outputNames``, that the last forward pass made and that is not
  /// finite. nil: all are.
  public func firstNonFiniteOutput() -> Int? { engine.firstNonFiniteOutput() }

  /// The layer, as a place in ``layerNames``, at which the gradients of this rank stopped being
  /// finite on their way back: of those that have such gradients, the last in forward order. Call it
  /// after `backward`, before gradients are summed over ranks. nil: all are finite.
  public func firstNonFiniteGradient() -> Int? { engine.firstNonFiniteGradient() }
}
