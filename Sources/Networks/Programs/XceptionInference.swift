import Tensors

/// FAM's pass: forward with running statistics and backward to the input only.
///
/// Computes ∂(z_fake − z_real)/∂x (Wang and Deng, CVPR 2021, section 3.1) without a single weight
/// gradient. Forward keeps one bit an element of each ReLU's input and one byte a pooled element;
/// that is all that backward needs.
public final class AttentionProgram: @unchecked Sendable {
  private let network: InferenceNetwork
  private let team: InferenceTeam
  public let crop: Int
  private var job: Job?
  /// Runs a group of the job; made once, so that `run` allocates nothing.
  private var runGroup: (InferencePass, Int) -> Void = { _, _ in }

  private struct Job {
    let images: UnsafePointer<Float>
    let selected: UnsafeBufferPointer<Int>
    let logits: UnsafeMutablePointer<Float>?
    let gradients: UnsafeMutablePointer<Float>
  }

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
    network = InferenceNetwork(
      detector, crop: crop, precision: precision, groupSize: groupSize, workers: workers,
      shared: training?.weights(for: detector, precision))
    team = InferenceTeam(network, forBackward: true)
    runGroup = { [unowned self] pass, group in run(group, pass) }
  }

  /// Follows weights and running statistics. Call after they changed and before the next `run`.
  public func refresh() { network.refresh() }

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
    job = Job(images: images, selected: selected, logits: logits, gradients: gradients)
    let group = network.groupSize
    team.run((selected.count + group - 1) / group, runGroup)
  }

  private func run(_ group: Int, _ pass: InferencePass) {
    let job = job!
    let imageSize = crop * crop * 3
    let start = group * network.groupSize
    let count = min(network.groupSize, job.selected.count - start)
    pass.forward(count) { job.images + job.selected[start + $0] * imageSize }
    if let logits = job.logits {
      for i in 0..<count {
        (logits[2 * (start + i)], logits[2 * (start + i) + 1]) = pass.logits(i)
      }
    }
    pass.backwardJoined(count)
    team.letOthersCatchUp(with: pass)
    pass.backwardEntries(count) { job.gradients + (start + $0) * imageSize }
  }
}

/// Forward with running statistics: logits, and class activation maps if asked for.
public final class InferenceProgram: @unchecked Sendable {
  private let network: InferenceNetwork
  private let team: InferenceTeam
  public let crop: Int

  /// Height and width of the last feature map, and so of the class activation maps.
  public var featureHeight: Int { network.geometry.features.height }
  public var featureWidth: Int { network.geometry.features.width }

  /// - Parameters: as ``AttentionProgram``'s.
  public init(
    _ detector: Detector, crop: Int, precision: Precision = .float32, groupSize: Int = 4,
    workers: WorkerPool, sharing training: TrainingProgram? = nil
  ) {
    self.crop = crop
    network = InferenceNetwork(
      detector, crop: crop, precision: precision, groupSize: groupSize, workers: workers,
      shared: training?.weights(for: detector, precision))
    team = InferenceTeam(network, forBackward: false)
  }

  /// Follows weights and running statistics. Call after they changed and before the next `run`.
  public func refresh() { network.refresh() }

  /// - Parameters:
  ///   - images: float32 (count, crop, crop, 3), normalised.
  ///   - logits: (count, 2), real and fake.
  ///   - activationMaps: (count, 2, featureHeight, featureWidth), or nil.
  public func run(
    images: UnsafePointer<Float>, count: Int, logits: UnsafeMutablePointer<Float>,
    activationMaps: UnsafeMutablePointer<Float>? = nil
  ) {
    let group = network.groupSize
    let imageSize = crop * crop * 3
    let mapSize = 2 * featureHeight * featureWidth
    team.run((count + group - 1) / group) { pass, task in
      let start = task * group
      let images = images + start * imageSize
      let count = min(group, count - start)
      pass.forward(count) { images + $0 * imageSize }
      for i in 0..<count {
        (logits[2 * (start + i)], logits[2 * (start + i) + 1]) = pass.logits(i)
        if let activationMaps { pass.activationMaps(i, activationMaps + (start + i) * mapSize) }
      }
    }
  }
}
