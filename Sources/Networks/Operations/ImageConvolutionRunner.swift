import CKernels
import Tensors

/// A convolution over the image, in float32 whatever the maps are: three channels make patches of
/// k·k·3 numbers, without padding.
final class ImageConvolutionRunner: OperationRunner, @unchecked Sendable {
  private let layer: NetworkGraph.Convolution
  private let place: PlacedWindow
  private let patch: Int

  init(_ network: LoweredNetwork, _ index: Int, _ layer: NetworkGraph.Convolution) {
    self.layer = layer
    place = PlacedWindow(
      layer.window, over: MapSize(height: network.crop, width: network.crop))
    patch = layer.window.size * layer.window.size * 3
    super.init(network, index)
  }

  private var size: MapSize { output.size }
  private var tileRows: Int { Tiling.rows(size) }

  override func need(_ precision: Precision, images: Int) -> TileMemory.Need {
    let pixels = tileRows * size.width
    var need = TileMemory.Need()
    need.operand = pixels * patch * 4
    need.outputGradient = pixels * output.stride * precision.size
    need.band = pixels * patch * 4
    need.floats = pixels * output.stride * 4
    return need
  }

  override var laneCount: Int { paddedChannels(layer.outputs * patch) }

  override func joins(_ images: Range<Int>) -> Bool { false }

  private func patches(
    _ pass: GraphPass, _ tile: TileMemory, image: Int, _ r0: Int, _ r1: Int
  ) -> UnsafeMutablePointer<Float> {
    let patches = tile.operand.assumingMemoryBound(to: Float.self)
    var window = place.kernel
    rfm_image_patches(
      pass.imageAddresses[image]!, patches, &window, Int32(place.top), Int32(place.input.height),
      Int32(r0), Int32(r1))
    return patches
  }

  override func forward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    let map = operation.output
    pass.beginForward(map, task: task)
    let isNarrow = pass.maps.precision != .float32
    for image in images {
      for r0 in stride(from: 0, to: size.height, by: tileRows) {
        let r1 = min(r0 + tileRows, size.height)
        let pixels = (r1 - r0) * size.width
        let x = patches(pass, tile, image: image, r0, r1)
        let out = pass.value(map, image: image, pixel: r0 * size.width)
        MatrixMultiply.multiply(
          .float32, transposeB: true, m: pixels, n: layer.outputs, k: patch, a: x, lda: patch,
          b: pass.weights.floats(layer.weight), ldb: patch,
          c: isNarrow ? UnsafeMutableRawPointer(tile.floats) : out, ldc: output.stride)
        if isNarrow { pass.maps.table.from_float(tile.floats, out, pixels * output.stride) }
        pass.finishOutput(
          map, image: image, pixel: r0 * size.width, pixels: pixels, task: task, hasPadding: true)
      }
    }
  }

  override func backward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    let map = operation.output
    for image in images {
      for r0 in stride(from: 0, to: size.height, by: tileRows) {
        let r1 = min(r0 + tileRows, size.height)
        let pixels = (r1 - r0) * size.width
        var dy = UnsafeRawPointer(
          pass.outputGradient(
            map, image: image, pixel: r0 * size.width, pixels: pixels, to: tile.outputGradient))
        if pass.maps.precision != .float32 {
          pass.maps.table.to_float(dy, tile.floats, pixels * output.stride)
          dy = UnsafeRawPointer(tile.floats)
        }
        if pass.isTraining {
          MatrixMultiply.multiply(
            .float32, transposeA: true, m: layer.outputs, n: patch, k: pixels, a: dy,
            lda: output.stride, b: patches(pass, tile, image: image, r0, r1), ldb: patch,
            accumulate: image > images.lowerBound || r0 > 0,
            c: pass.lanes[index]! + task * laneCount, ldc: patch)
          continue
        }
        let dx = tile.band.assumingMemoryBound(to: Float.self)
        MatrixMultiply.multiply(
          .float32, m: pixels, n: patch, k: layer.outputs, a: dy, lda: output.stride,
          b: pass.weights.floats(layer.weight), ldb: patch, c: dx, ldc: patch)
        var window = place.kernel
        rfm_image_unpatches(
          dx, pass.imageGradients[image]!, &window, Int32(place.top),
          Int32(place.input.height), Int32(r0), Int32(r1))
      }
    }
  }

  override func planWeightGradients(_ program: GraphTraining, tasks: Int) {
    program.planLaneSum(
      layer.weight, program.pass.lanes[index]!, count: layer.outputs * patch, pitch: laneCount,
      tasks: tasks)
  }
}
