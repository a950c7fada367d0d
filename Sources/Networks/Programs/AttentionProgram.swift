import Tensors

/// FAM's pass: forward with running statistics and backward to the input only.
///
/// Computes ∂(z_fake − z_real)/∂x (Wang and Deng, CVPR 2021, section 3.1) without a single weight
/// gradient. Forward keeps what the gradient to the input needs and no more: one bit an element of
/// each ReLU's input, one byte a pooled element, and a map only where an activation is smooth.
public final class AttentionProgram: @unchecked Sendable {
  public let crop: Int
  private let engine: GraphAttention

  /// - Parameters:
  ///   - crop: height and width of the images in pixels.
  ///   - groupSize: images that a worker takes through the network together.
  ///   - training: a pass over the same detector whose working weights serve here too, if the
  ///     precision is the same; its `refresh` comes before this one's.
  public init(
    _ detector: Detector, crop: Int, precision: Precision = .float32, groupSize: Int = 4,
    workers: WorkerPool, sharing training: TrainingProgram? = nil
  ) {
    self.crop = crop
    engine = GraphAttention(
      detector, detector.graph, crop: crop, precision: precision, groupSize: groupSize,
      workers: workers, sharing: training?.weights(for: detector, precision))
  }

  /// Follows weights and running statistics. Call after they changed and before the next `run`.
  public func refresh() { engine.refresh() }

  /// Begins to measure where workers spend their time, or begins anew; it goes on until the program ends.
  public func measureOperations() { engine.measure() }

  /// Operations in forward order, with what `images` images cost and, since ``measureOperations()``, took.
  public func operationProfiles(images: Int) -> [OperationProfile] {
    engine.profiles(images: images)
  }

  /// Takes the images `selected` of a batch through the pass.
  ///
  /// - Parameters:
  ///   - images: float32 (batch, crop, crop, 3), normalised.
  ///   - selected: places in the batch.
  ///   - logits: (selected.count, 2), real and fake, or nil.
  ///   - gradients: (selected.count, crop, crop, 3).
  public func run(
    images: UnsafePointer<Float>, selected: UnsafeBufferPointer<Int>,
    logits: UnsafeMutablePointer<Float>?, gradients: UnsafeMutablePointer<Float>
  ) {
    engine.run(images: images, selected: selected, logits: logits, gradients: gradients)
  }
}

/// Forward with running statistics: logits, and class activation maps if asked for.
public final class InferenceProgram: @unchecked Sendable {
  public let crop: Int
  private let engine: GraphInference

  /// Height and width of the map that the head averages, and so of the class activation maps; 0 where
  /// a network has none.
  public var featureHeight: Int { engine.featureHeight }
  public var featureWidth: Int { engine.featureWidth }

  /// - Parameters: as ``AttentionProgram``'s.
  public init(
    _ detector: Detector, crop: Int, precision: Precision = .float32, groupSize: Int = 4,
    workers: WorkerPool, sharing training: TrainingProgram? = nil
  ) {
    self.crop = crop
    engine = GraphInference(
      detector, detector.graph, crop: crop, precision: precision, groupSize: groupSize,
      workers: workers, sharing: training?.weights(for: detector, precision))
  }

  /// Follows weights and running statistics. Call after they changed and before the next `run`.
  public func refresh() { engine.refresh() }

  /// Begins to measure where workers spend their time, or begins anew; it goes on until the program ends.
  public func measureOperations() { engine.measure() }

  /// Operations in forward order, with what `images` images cost and, since ``measureOperations()``, took.
  public func operationProfiles(images: Int) -> [OperationProfile] {
    engine.profiles(images: images)
  }

  /// - Parameters:
  ///   - images: float32 (count, crop, crop, 3), normalised.
  ///   - logits: (count, 2), real and fake.
  ///   - activationMaps: (count, 2, featureHeight, featureWidth), or nil.
  public func run(
    images: UnsafePointer<Float>, count: Int, logits: UnsafeMutablePointer<Float>,
    activationMaps: UnsafeMutablePointer<Float>? = nil
  ) {
    engine.run(images: images, count: count, logits: logits, activationMaps: activationMaps)
  }
}
