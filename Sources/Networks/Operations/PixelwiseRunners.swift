import CKernels
import Tensors

/// A view, stored: where a norm stands behind an activation, or a gate is needed again and again.
final class CopyRunner: OperationRunner, @unchecked Sendable {
  private var view: LoweredNetwork.MapView { operation.inputs[0] }
  private var pixels: Int { output.size.pixels }

  override func need(_ precision: Precision, images: Int) -> TileMemory.Need {
    var need = TileMemory.Need()
    need.outputGradient = output.elements * 4
    return need
  }

  override func forward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginForward(operation.output, task: task)
    for image in images {
      pass.load(
        view, image: image, pixel: 0, pixels: pixels,
        to: pass.value(operation.output, image: image))
      // An activation of zero may be other than zero.
      pass.finishOutput(
        operation.output, image: image, pixel: 0, pixels: pixels, task: task, hasPadding: true)
    }
  }

  override func backward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginBackward(index, images, task: task)
    for image in images {
      let dy = pass.outputGradient(
        operation.output, image: image, pixel: 0, pixels: pixels, to: tile.outputGradient)
      pass.contribute(index, 0, image: image, pixel: 0, pixels: pixels, da: dy, task: task)
      pass.endBackward(index, image: image, task: task)
    }
  }
}

/// The sum of two maps: its gradient is that of both. A branch that stochastic depth may leave out has a
/// factor for each image, which its gradient has as well.
final class SumRunner: OperationRunner, @unchecked Sendable {
  private let branch: Int?

  init(_ network: LoweredNetwork, _ index: Int, branch: Int?) {
    self.branch = branch
    super.init(network, index)
  }

  private var pixels: Int { output.size.pixels }
  private var rows: Int { Tiling.rows(output.size) }

  override func need(_ precision: Precision, images: Int) -> TileMemory.Need {
    var need = TileMemory.Need()
    need.outputGradient =
      output.affine == nil ? 0 : output.elements * precision.size
    need.inputGradient =
      branch == nil ? 0 : rows * output.size.width * output.stride * precision.size
    return need
  }

  override func forward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginForward(operation.output, task: task)
    for image in images {
      let factor = branch.flatMap { pass.drops?.factor(branch: $0, image: image) }
      for r0 in stride(from: 0, to: output.size.height, by: rows) {
        let pixel = r0 * output.size.width
        let count = min(rows, output.size.height - r0) * output.size.width
        var a = pass.view(operation.inputs[0], image: image, pixel: pixel)
        if let factor { a.gate = factor }
        var b = pass.view(operation.inputs[1], image: image, pixel: pixel)
        pass.maps.layers.load_sum(
          &a, &b, pass.value(operation.output, image: image, pixel: pixel), Int32(count))
        pass.finishOutput(
          operation.output, image: image, pixel: pixel, pixels: count, task: task,
          hasPadding: false)
      }
    }
  }

  override func backward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginBackward(index, images, task: task)
    for image in images {
      let dy = pass.outputGradient(
        operation.output, image: image, pixel: 0, pixels: pixels, to: tile.outputGradient)
      for input in operation.inputs.indices {
        if input == 0, let branch, let factor = pass.drops?.factor(branch: branch, image: image) {
          contribute(pass, tile, dy, times: factor, image: image, task: task)
        } else {
          pass.contribute(
            index, input, image: image, pixel: 0, pixels: pixels, da: dy, task: task)
        }
      }
      pass.endBackward(index, image: image, task: task)
    }
  }

  /// The branch's gradient, some rows at a time.
  private func contribute(
    _ pass: GraphPass, _ tile: TileMemory, _ dy: UnsafeMutableRawPointer,
    times factor: UnsafePointer<Float>, image: Int, task: Int
  ) {
    for r0 in stride(from: 0, to: output.size.height, by: rows) {
      let pixel = r0 * output.size.width
      let count = min(rows, output.size.height - r0) * output.size.width
      pass.scale(
        operation.output, dy + pixel * output.stride * pass.maps.precision.size, by: factor,
        pixels: count, to: tile.inputGradient)
      pass.contribute(
        index, 0, image: image, pixel: pixel, pixels: count, da: tile.inputGradient, task: task)
    }
  }
}

/// One map's channels behind the other's.
final class ConcatenationRunner: OperationRunner, @unchecked Sendable {
  private var pixels: Int { output.size.pixels }
  private var widest: Int { operation.inputs.map { network.maps[$0.map].stride }.max()! }

  override func need(_ precision: Precision, images: Int) -> TileMemory.Need {
    var need = TileMemory.Need()
    need.operand = pixels * widest * precision.size
    need.outputGradient = output.elements * precision.size
    return need
  }

  override func forward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginForward(operation.output, task: task)
    let element = Int32(pass.maps.precision.size)
    for image in images {
      var channel = 0
      for view in operation.inputs {
        let part = network.maps[view.map]
        pass.load(view, image: image, pixel: 0, pixels: pixels, to: tile.operand)
        rfm_copy_channels(
          tile.operand, Int32(part.stride), 0, pass.value(operation.output, image: image),
          Int32(output.stride), Int32(channel), Int32(part.channels), Int32(pixels), element)
        channel += part.channels
      }
      pass.finishOutput(
        operation.output, image: image, pixel: 0, pixels: pixels, task: task, hasPadding: true)
    }
  }

  override func backward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginBackward(index, images, task: task)
    let element = Int32(pass.maps.precision.size)
    for image in images {
      let dy = pass.outputGradient(
        operation.output, image: image, pixel: 0, pixels: pixels, to: tile.outputGradient)
      var channel = 0
      for (input, view) in operation.inputs.enumerated() {
        let part = network.maps[view.map]
        rfm_copy_channels(
          dy, Int32(output.stride), Int32(channel), tile.operand, Int32(part.stride), 0,
          Int32(part.channels), Int32(pixels), element)
        rfm_clear_padding(
          tile.operand, Int32(pixels), Int32(part.channels), Int32(part.stride), element)
        pass.contribute(
          index, input, image: image, pixel: 0, pixels: pixels, da: tile.operand, task: task)
        channel += part.channels
      }
      pass.endBackward(index, image: image, task: task)
    }
  }
}

/// A norm over the channels of each pixel (Ba et al. 2016).
final class LayerNormRunner: OperationRunner, @unchecked Sendable {
  private let layer: NetworkGraph.LayerNorm

  init(_ network: LoweredNetwork, _ index: Int, _ layer: NetworkGraph.LayerNorm) {
    self.layer = layer
    super.init(network, index)
  }

  private var view: LoweredNetwork.MapView { operation.inputs[0] }
  private var rows: Int { Tiling.rows(output.size) }
  private var tileBytes: Int { rows * output.size.width * output.stride * 4 }

  override func need(_ precision: Precision, images: Int) -> TileMemory.Need {
    var need = TileMemory.Need()
    need.operand = tileBytes
    need.outputGradient = tileBytes
    need.inputGradient = tileBytes
    return need
  }

  /// Σdy and Σdy·x̂ in double, two float32 each.
  override var laneCount: Int { 4 * output.stride }

  override func forward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginForward(operation.output, task: task)
    let width = output.size.width
    let kernels = pass.kernels(operation.output)
    for image in images {
      for r0 in stride(from: 0, to: output.size.height, by: rows) {
        let pixels = min(rows, output.size.height - r0) * width
        pass.load(view, image: image, pixel: r0 * width, pixels: pixels, to: tile.operand)
        kernels.layers.layer_norm(
          tile.operand, pass.weights.floats(layer.weight), pass.weights.floats(layer.bias),
          layer.epsilon, pass.value(operation.output, image: image, pixel: r0 * width),
          Int32(pixels), Int32(layer.channels), Int32(output.stride))
        pass.finishOutput(
          operation.output, image: image, pixel: r0 * width, pixels: pixels, task: task,
          hasPadding: false)
      }
    }
  }

  private func sums(_ pass: GraphPass, task: Int) -> UnsafeMutablePointer<Double>? {
    pass.lanes[index].map {
      UnsafeMutableRawPointer($0 + task * laneCount).assumingMemoryBound(to: Double.self)
    }
  }

  override func backward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginBackward(index, images, task: task)
    let sums = sums(pass, task: task)
    sums?.update(repeating: 0, count: 2 * output.stride)
    let width = output.size.width
    let kernels = pass.kernels(operation.output)
    for image in images {
      for r0 in stride(from: 0, to: output.size.height, by: rows) {
        let pixels = min(rows, output.size.height - r0) * width
        let dy = pass.outputGradient(
          operation.output, image: image, pixel: r0 * width, pixels: pixels,
          to: tile.outputGradient)
        pass.load(view, image: image, pixel: r0 * width, pixels: pixels, to: tile.operand)
        kernels.layers.layer_norm_backward(
          tile.operand, dy, pass.weights.floats(layer.weight), layer.epsilon,
          tile.inputGradient, sums, Int32(pixels), Int32(layer.channels), Int32(output.stride))
        pass.contribute(
          index, 0, image: image, pixel: r0 * width, pixels: pixels, da: tile.inputGradient,
          task: task)
      }
      pass.endBackward(index, image: image, task: task)
    }
  }

  override func planWeightGradients(_ program: GraphTraining, tasks: Int) {
    let pass = program.pass
    let offset = { program.detector.parameters[$0].offset }
    let (weight, bias) = (offset(layer.weight), offset(layer.bias))
    program.planSerial { [self, unowned program] in
      for c in 0..<layer.channels {
        var (sum, product) = (0.0, 0.0)
        for task in 0..<tasks {
          let own = sums(pass, task: task)!
          sum += own[c]
          product += own[output.stride + c]
        }
        program.gradients.add(product, at: weight + c)
        program.gradients.add(sum, at: bias + c)
      }
    }
  }
}
