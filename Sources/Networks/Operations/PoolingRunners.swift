import CKernels
import Tensors

/// The largest in each window; kept for the way back: which one it was.
final class MaximumPoolRunner: OperationRunner, @unchecked Sendable {
  private let input: LoweredNetwork.StoredMap
  private let view: LoweredNetwork.MapView
  private let place: PlacedWindow

  init(_ network: LoweredNetwork, _ index: Int, _ window: Window) {
    view = network.operations[index].inputs[0]
    input = network.maps[view.map]
    place = PlacedWindow(window, over: input.size)
    super.init(network, index)
  }

  private var size: MapSize { output.size }
  private var taps: Int { place.window.size }

  override func need(_ precision: Precision, images: Int) -> TileMemory.Need {
    var need = TileMemory.Need()
    need.rows = RowRing.bytes(input, capacity: taps, precision.size)
    need.inputGradient =
      Tiling.rows(input.size) * input.size.width * input.stride * precision.size
    need.outputGradient = output.elements * precision.size
    return need
  }

  override func keptBytes(_ element: Int, _ purpose: PassPlan.Purpose) -> Int { output.elements }

  private func winners(_ pass: GraphPass, _ image: Int) -> UnsafeMutablePointer<UInt8> {
    pass.kept(index, image: image, bytes: output.elements).assumingMemoryBound(to: UInt8.self)
  }

  override func forward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    let map = operation.output
    pass.beginForward(map, task: task)
    var window = place.kernel
    for image in images {
      var ring = RowRing(pass, view, image: image, capacity: taps, in: tile.rows)
      let winners = winners(pass, image)
      for row in 0..<size.height {
        ring.fill(tile.window, place, row: row, pass)
        pass.maps.layers.max_pool(
          tile.window, pass.value(map, image: image, pixel: row * size.width),
          winners + row * size.width * output.stride, &window, Int32(output.stride))
      }
      pass.finishOutput(
        map, image: image, pixel: 0, pixels: size.pixels, task: task, hasPadding: false)
    }
  }

  override func backward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginBackward(index, images, task: task)
    let element = pass.maps.precision.size
    let rowBytes = size.width * output.stride * element
    let inputBytes = input.size.width * input.stride * element
    let chunk = Tiling.rows(input.size)
    var window = place.kernel
    for image in images {
      let dy = pass.outputGradient(
        operation.output, image: image, pixel: 0, pixels: size.pixels, to: tile.outputGradient)
      let winners = winners(pass, image)
      for start in stride(from: 0, to: input.size.height, by: chunk) {
        let stop = min(start + chunk, input.size.height)
        for row in start..<stop {
          for tap in 0..<taps {
            let from = place.outputRow(row, tap: tap)
            tile.window[tap] = from.map { UnsafeRawPointer(dy + $0 * rowBytes) }
            tile.winners[tap] = from.map {
              UnsafePointer(winners + $0 * size.width * output.stride)
            }
          }
          pass.maps.layers.max_unpool(
            tile.window, tile.winners, tile.inputGradient + (row - start) * inputBytes, &window,
            Int32(input.stride))
        }
        pass.contribute(
          index, 0, image: image, pixel: start * input.size.width,
          pixels: (stop - start) * input.size.width, da: tile.inputGradient, task: task)
      }
      pass.endBackward(index, image: image, task: task)
    }
  }
}

/// The mean of each window. Backward: every pixel gets its share of the windows that it lies in.
final class AveragePoolRunner: OperationRunner, @unchecked Sendable {
  private let input: LoweredNetwork.StoredMap
  private let view: LoweredNetwork.MapView
  private let place: PlacedWindow
  private let countsPadding: Int32

  init(_ network: LoweredNetwork, _ index: Int, _ window: Window, countsPadding: Bool) {
    view = network.operations[index].inputs[0]
    input = network.maps[view.map]
    place = PlacedWindow(window, over: input.size)
    self.countsPadding = countsPadding ? 1 : 0
    super.init(network, index)
  }

  private var size: MapSize { output.size }
  private var taps: Int { place.window.size }

  override func need(_ precision: Precision, images: Int) -> TileMemory.Need {
    var need = TileMemory.Need()
    need.rows = RowRing.bytes(input, capacity: taps, precision.size)
    need.inputGradient =
      Tiling.rows(input.size) * input.size.width * input.stride * precision.size
    need.outputGradient = output.elements * precision.size
    return need
  }

  override func forward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    let map = operation.output
    pass.beginForward(map, task: task)
    var window = place.kernel
    for image in images {
      var ring = RowRing(pass, view, image: image, capacity: taps, in: tile.rows)
      for row in 0..<size.height {
        ring.fill(tile.window, place, row: row, pass)
        pass.maps.layers.average_pool(
          tile.window, pass.value(map, image: image, pixel: row * size.width), &window,
          countsPadding, Int32(output.stride))
      }
      pass.finishOutput(
        map, image: image, pixel: 0, pixels: size.pixels, task: task, hasPadding: false)
    }
  }

  override func backward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginBackward(index, images, task: task)
    let element = pass.maps.precision.size
    let rowBytes = size.width * output.stride * element
    let inputBytes = input.size.width * input.stride * element
    let chunk = Tiling.rows(input.size)
    var window = place.kernel
    withUnsafeTemporaryAllocation(of: Int32.self, capacity: TileMemory.largestWindow) { heights in
      for image in images {
        let dy = pass.outputGradient(
          operation.output, image: image, pixel: 0, pixels: size.pixels, to: tile.outputGradient)
        for start in stride(from: 0, to: input.size.height, by: chunk) {
          let stop = min(start + chunk, input.size.height)
          for row in start..<stop {
            for tap in 0..<taps {
              let from = place.outputRow(row, tap: tap)
              tile.window[tap] = from.map { UnsafeRawPointer(dy + $0 * rowBytes) }
              heights[tap] = from.map { Int32(rowsInside($0)) } ?? 0
            }
            pass.maps.layers.average_unpool(
              tile.window, heights.baseAddress!, tile.inputGradient + (row - start) * inputBytes,
              &window, countsPadding, Int32(input.stride))
          }
          pass.contribute(
            index, 0, image: image, pixel: start * input.size.width,
            pixels: (stop - start) * input.size.width, da: tile.inputGradient, task: task)
        }
        pass.endBackward(index, image: image, task: task)
      }
    }
  }

  /// Rows of an output row's window that lie inside of the map.
  private func rowsInside(_ row: Int) -> Int {
    let first = place.inputRow(row, tap: 0)
    return min(first + taps, input.size.height) - max(first, 0)
  }
}

/// Each channel's mean, in float32. Backward: every pixel gets its share.
final class GlobalAverageRunner: OperationRunner, @unchecked Sendable {
  private var view: LoweredNetwork.MapView { operation.inputs[0] }
  private var pixels: Int { network.maps[view.map].size.pixels }

  override func need(_ precision: Precision, images: Int) -> TileMemory.Need {
    var need = TileMemory.Need()
    need.floats = 2 * output.stride * 4
    return need
  }

  override func forward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginForward(operation.output, task: task)
    for image in images {
      var source = pass.view(view, image: image)
      pass.maps.layers.mean(
        &source,
        pass.value(operation.output, image: image).assumingMemoryBound(to: Float.self),
        Int32(pixels))
      pass.finishOutput(
        operation.output, image: image, pixel: 0, pixels: 1, task: task, hasPadding: false)
    }
  }

  override func backward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginBackward(index, images, task: task)
    for image in images {
      let dy = pass.outputGradient(
        operation.output, image: image, pixel: 0, pixels: 1, to: tile.floats + output.stride
      ).assumingMemoryBound(to: Float.self)
      let share = 1 / Float(pixels)
      for c in 0..<output.stride { tile.floats[c] = dy[c] * share }
      pass.contribute(
        index, 0, image: image, pixel: 0, pixels: pixels, da: nil,
        uniform: UnsafePointer(tile.floats), task: task)
      pass.endBackward(index, image: image, task: task)
    }
  }
}

/// All pixels of a channel, then those of the next, in float32.
final class FlattenRunner: OperationRunner, @unchecked Sendable {
  private var view: LoweredNetwork.MapView { operation.inputs[0] }
  private var input: LoweredNetwork.StoredMap { network.maps[view.map] }

  override func need(_ precision: Precision, images: Int) -> TileMemory.Need {
    precondition(
      output.channels == input.channels * input.size.pixels,
      "a map of \(input.size.height)×\(input.size.width) pixels does not fit the linear layer behind "
        + "it: another crop")
    var need = TileMemory.Need()
    need.operand = input.elements * precision.size
    need.outputGradient = output.stride * 4
    need.floats = input.elements * 4
    return need
  }

  override func forward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginForward(operation.output, task: task)
    let pixels = input.size.pixels
    for image in images {
      pass.load(view, image: image, pixel: 0, pixels: pixels, to: tile.operand)
      pass.maps.table.to_float(tile.operand, tile.floats, input.elements)
      let out = pass.value(operation.output, image: image).assumingMemoryBound(to: Float.self)
      for c in 0..<input.channels {
        for p in 0..<pixels { out[c * pixels + p] = tile.floats[p * input.stride + c] }
      }
      pass.finishOutput(
        operation.output, image: image, pixel: 0, pixels: 1, task: task, hasPadding: true)
    }
  }

  override func backward(_ images: Range<Int>, _ pass: GraphPass, _ tile: TileMemory, task: Int) {
    pass.beginBackward(index, images, task: task)
    let pixels = input.size.pixels
    for image in images {
      let dy = pass.outputGradient(
        operation.output, image: image, pixel: 0, pixels: 1, to: tile.outputGradient
      ).assumingMemoryBound(to: Float.self)
      tile.floats.update(repeating: 0, count: input.elements)
      for c in 0..<input.channels {
        for p in 0..<pixels { tile.floats[p * input.stride + c] = dy[c * pixels + p] }
      }
      pass.maps.table.from_float(tile.floats, tile.operand, input.elements)
      pass.contribute(
        index, 0, image: image, pixel: 0, pixels: pixels, da: tile.operand, task: task)
      pass.endBackward(index, image: image, task: task)
    }
  }
}
