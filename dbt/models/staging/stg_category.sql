with source as (

    select * from {{ source('raw', 'category') }}

),

renamed as (

    select
        cast(category_id as integer) as category_id,
        {{ text('name') }} as category_name,
        cast(last_update as {{ timestamp_ntz() }}) as updated_at,
        cast(_airbyte_extracted_at as {{ timestamptz() }}) as synced_at
    from source

)

select * from renamed
