import Tensors

/// FAM's pass of Xception.
///
/// Computes ∂(z_fake − z_real)/∂x (Wang and Deng, CVPR 2021, section 3.1) without a single weight
/// gradient. Forward keeps one bit an element of each ReLU's input and one byte a pooled element;
/// that is all that backward needs.
final class XceptionAttention: AttentionEngine, @unchecked Sendable {
  private let network: InferenceNetwork
  private let team: InferenceTeam
  let crop: Int
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
  ///   - shared: another program's weights, which it refreshes; nil: own ones.
  init(
    _ detector: Detector, _ layers: XceptionLayers, crop: Int, precision: Precision, groupSize: Int,
    workers: WorkerPool, sharing shared: WorkingWeights?
  ) {
    self.crop = crop
    network = InferenceNetwork(
      detector, layers, crop: crop, precision: precision, groupSize: groupSize, workers: workers,
      shared: shared)
    team = InferenceTeam(network, forBackward: true)
    runGroup = { [unowned self] pass, group in run(group, pass) }
  }

  /// Follows weights and running statistics. Call after they changed and before the next `run`.
  func refresh() { network.refresh() }

  /// Takes the images `selected` of a batch through the pass.
  ///
  /// - Parameters:
  ///   - images: float32 (batch, crop, crop, 3), normalised.
  ///   - selected: places in the batch.
  ///   - logits: (selected.count, 2), real and fake, or nil.
  ///   - gradients: (selected.count, crop, crop, 3).
  func run(
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

/// Xception's forward with running statistics.
final class XceptionInference: InferenceEngine, @unchecked Sendable {
  private let network: InferenceNetwork
  private let team: InferenceTeam
  let crop: Int

  /// Height and width of the last feature map, and so of the class activation maps.
  var featureHeight: Int { network.geometry.features.height }
  var featureWidth: Int { network.geometry.features.width }

  /// - Parameters: as ``XceptionAttention``'s.
  init(
    _ detector: Detector, _ layers: XceptionLayers, crop: Int, precision: Precision, groupSize: Int,
    workers: WorkerPool, sharing shared: WorkingWeights?
  ) {
    self.crop = crop
    network = InferenceNetwork(
      detector, layers, crop: crop, precision: precision, groupSize: groupSize, workers: workers,
      shared: shared)
    team = InferenceTeam(network, forBackward: false)
  }

  /// Follows weights and running statistics. Call after they changed and before the next `run`.
  func refresh() { network.refresh() }

  /// - Parameters:
  ///   - images: float32 (count, crop, crop, 3), normalised.
  ///   - logits: (count, 2), real and fake.
  ///   - activationMaps: (count, 2, featureHeight, featureWidth), or nil.
  func run(
    images: UnsafePointer<Float>, count: Int, logits: UnsafeMutablePointer<Float>,
    activationMaps: UnsafeMutablePointer<Float>?
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
