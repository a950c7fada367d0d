import Tensors

/// Forward with running statistics.
final class GraphInference: @unchecked Sendable {
  private let team: GraphTeam
  private let imageSize: Int
  let featureHeight: Int
  let featureWidth: Int

  init(
    _ detector: Detector, _ graph: NetworkGraph, crop: Int, precision: Precision, groupSize: Int,
    workers: WorkerPool, sharing shared: WorkingWeights?
  ) {
    imageSize = crop * crop * 3
    let team = GraphTeam(
      detector, graph, .inference, crop: crop, precision: precision, groupSize: groupSize,
      workers: workers, sharing: shared)
    self.team = team
    let features = team.network.features.map { team.network.maps[$0.map].size }
    featureHeight = features?.height ?? 0
    featureWidth = features?.width ?? 0
  }

  func refresh() { team.refresh() }
  func measure() { team.measure() }
  func profiles(images: Int) -> [OperationProfile] { team.profiles(images: images) }

  func run(
    images: UnsafePointer<Float>, count: Int, logits: UnsafeMutablePointer<Float>,
    activationMaps: UnsafeMutablePointer<Float>?
  ) {
    let mapSize = 2 * featureHeight * featureWidth
    team.run(count) { [team, imageSize] member, range in
      let pass = member.pass
      for (place, number) in range.enumerated() {
        pass.imageAddresses[place] = images + number * imageSize
      }
      team.forward(range.count, member)
      for (place, number) in range.enumerated() {
        pass.readLogits(place, to: logits + 2 * number)
        if let activationMaps {
          pass.activationMaps(place, activationMaps + number * mapSize)
        }
      }
    }
  }
}
