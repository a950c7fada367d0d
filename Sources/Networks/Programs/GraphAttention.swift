import Tensors

/// FAM's pass over a network's operations.
final class GraphAttention: @unchecked Sendable {
  private let team: GraphTeam
  private let imageSize: Int
  private var job: Job?
  /// Runs a group of the job; made once, so that `run` allocates nothing.
  private var runGroup: (GraphTeam.Member, Range<Int>) -> Void = { _, _ in }

  private struct Job {
    let images: UnsafePointer<Float>
    let selected: UnsafeBufferPointer<Int>
    let logits: UnsafeMutablePointer<Float>?
    let gradients: UnsafeMutablePointer<Float>
  }

  init(
    _ detector: Detector, _ graph: NetworkGraph, crop: Int, precision: Precision, groupSize: Int,
    workers: WorkerPool, sharing shared: WorkingWeights?, sharesMemory: Bool = true
  ) {
    imageSize = crop * crop * 3
    team = GraphTeam(
      detector, graph, .attention, crop: crop, precision: precision, groupSize: groupSize,
      workers: workers, sharing: shared, sharesMemory: sharesMemory)
    runGroup = { [unowned self] member, images in run(images, member) }
  }

  func refresh() { team.refresh() }
  func measure() { team.measure() }
  func profiles(images: Int) -> [OperationProfile] { team.profiles(images: images) }

  func run(
    images: UnsafePointer<Float>, selected: UnsafeBufferPointer<Int>,
    logits: UnsafeMutablePointer<Float>?, gradients: UnsafeMutablePointer<Float>
  ) {
    job = Job(images: images, selected: selected, logits: logits, gradients: gradients)
    team.run(selected.count, runGroup)
  }

  private func run(_ range: Range<Int>, _ member: GraphTeam.Member) {
    let job = job!
    let pass = member.pass
    for (place, number) in range.enumerated() {
      pass.imageAddresses[place] = job.images + job.selected[number] * imageSize
      let gradient = job.gradients + number * imageSize
      gradient.update(repeating: 0, count: imageSize)
      pass.imageGradients[place] = gradient
    }
    team.forward(range.count, member)
    if let logits = job.logits {
      for (place, number) in range.enumerated() {
        pass.readLogits(place, to: logits + 2 * number)
      }
    }
    // ∂(z_fake − z_real), of a patch head its mean over positions.
    let share = 1 / Float(pass.positions)
    for place in 0..<range.count { pass.seed(place) { _ in share } }
    team.backward(range.count, member)
  }
}
