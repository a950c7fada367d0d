import CKernels

/// A 3×3 maximum pooling with stride 2, and another map added to it: out(o) = max z(window) + z₂(o).
///
/// Training keeps, beside the place of each maximum, what was there: the sums that the norm before the
/// pooling needs are then a pass over the pooled map, a quarter of the size. Backward, the output's gradient
/// is that of the added map; what it is for the pooled one is found from the places of the maxima by whoever
/// reads that (``GraphPass/outputGradient(_:image:pixel:pixels:to:)``).
final class PooledSumRunner: OperationRunner, @unchecked Sendable {
  private var pooled: LoweredNetwork.MapView { operation.inputs[0] }
  private var added: LoweredNetwork.MapView { operation.inputs[1] }
  private var input: LoweredNetwork.StoredMap { network.maps[pooled.map] }

  override func keptBytes(_ element: Int, _ purpose: PassPlan.Purpose) -> Int {
    GraphPass.poolingBytes(output, element, purpose).all
  }

  override func forward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    let map = operation.output
    pass.beginForward(map, task: task)
    for image in images {
      var y = pass.rectified(pooled, image: image, floor: noFloor)
      var skip = pass.rectified(added, image: image, floor: noFloor)
      pass.maps.table.pool_forward(
        &y, &skip, pass.value(map, image: image), pass.winners(index, image: image),
        pass.maxima(index, image: image), Int32(input.size.height), Int32(input.size.width))
      pass.finishOutput(
        map, image: image, pixel: 0, pixels: output.size.pixels, task: task, hasPadding: false)
    }
  }

  override func backward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginBackward(index, images, task: task)
    let pixels = output.size.pixels
    for image in images {
      let dx = pass.gradient(operation.output, image: image)
      if let maxima = pass.maxima(index, image: image), let state = pass.state(pooled.map) {
        pass.maps.table.gradient_sums(
          dx, maxima, Int32(pixels), Int32(output.stride), state.sums(task))
      }
      pass.contribute(index, 1, image: image, pixel: 0, pixels: pixels, da: dx, task: task)
      pass.endBackward(index, image: image, task: task)
    }
  }
}
