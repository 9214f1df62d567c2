(component
  (component $giver
    (core module $m
      (memory (export "memory") 1)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)
      (func (export "take") (param i32 i32)))
    (core instance $i (instantiate $m))
    (func (export "take") (param "text" string)
      (canon lift (core func $i "take") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))
  (component $taker
    (import "take" (func $take (param "text" string)))
    (core module $m (memory (export "memory") 1))
    (core instance $i (instantiate $m))
    (core func $lowered (canon lower (func $take) (memory (core memory $i "memory"))))
    (core module $n (import "" "take" (func (param i32 i32))))
    (core instance (instantiate $n (with "" (instance (export "take" (func $lowered)))))))
  (instance $giver (instantiate $giver))
  (instance (instantiate $taker (with "take" (func $giver "take")))))
